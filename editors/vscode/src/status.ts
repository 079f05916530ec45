// What the status bar shows of the server: pure text.

/** Params of the notification `aix/status`. */
export interface ServerStatus {
  readonly state: string;
  readonly message: string;
  readonly model: string | null;
  readonly device: string | null;
  readonly latencyMs: number | null;
  readonly language?: string;
  readonly offReason?: string;
}

/** What this extension does about the server itself. */
export type Phase = "missing" | "installing" | "starting" | "running" | "waiting" | "failed" | "stopped";

/** All that is shown. */
export interface View {
  readonly phase: Phase;
  /** One line, for the phases but running. */
  readonly note: string;
  readonly status: ServerStatus | undefined;
  /** Why VS Code itself shows no offers; empty where it does. */
  readonly hidden: string;
}

export type Severity = "information" | "warning" | "error";

export interface Shown {
  /** For the status bar, with an icon. */
  readonly text: string;
  /** One word or two. */
  readonly title: string;
  /** One line, plain text; may be empty. */
  readonly detail: string;
  readonly severity: Severity;
  readonly isBusy: boolean;
  /** Markdown, everything that is not ours escaped. */
  readonly tooltip: string;
}

interface Face {
  readonly icon: string;
  readonly title: string;
  readonly severity?: Severity;
  readonly isBusy?: boolean;
}

const READY: Face = { icon: "sparkle", title: "ready" };
const STATES: Readonly<Record<string, Face>> = {
  loading: { icon: "loading~spin", title: "loading the model", isBusy: true },
  indexing: { icon: "sync~spin", title: "indexing", isBusy: true },
  ready: READY,
  busy: { icon: "ellipsis", title: "writing", isBusy: true },
  degraded: { icon: "warning", title: "works less well", severity: "warning" },
  failed: { icon: "error", title: "failed", severity: "error" },
  off: { icon: "circle-slash", title: "off" },
  paused: { icon: "debug-pause", title: "paused" },
};
const PHASES: Readonly<Record<Phase, Face>> = {
  missing: { icon: "cloud-download", title: "not installed", severity: "warning" },
  installing: { icon: "loading~spin", title: "installing", isBusy: true },
  starting: { icon: "loading~spin", title: "starting", isBusy: true },
  running: { icon: "loading~spin", title: "starting", isBusy: true },
  waiting: { icon: "loading~spin", title: "starting again", severity: "warning", isBusy: true },
  failed: { icon: "error", title: "stopped", severity: "error" },
  stopped: { icon: "circle-slash", title: "stopped" },
};

/** What to show. */
export function shown(view: View): Shown {
  const status = view.phase === "running" ? view.status : undefined;
  const face = status === undefined ? PHASES[view.phase] : (STATES[status.state] ?? READY);
  const hidden = status !== undefined && view.hidden !== "";
  const detail = status?.offReason ?? status?.message ?? view.note;
  const lines = [`**aix**: ${face.title}`];
  if (detail !== "") lines.push(escaped(detail));
  if (hidden) lines.push(escaped(view.hidden));
  if (status?.model != null) {
    lines.push(`Model: ${escaped(status.model)}${status.device == null ? "" : ` (${escaped(status.device)})`}`);
  }
  if (status?.latencyMs != null) lines.push(`Latest offer: ${latency(status.latencyMs)}`);
  lines.push("Click for the menu");
  return {
    text: `$(${hidden && face === READY ? "eye-closed" : face.icon}) aix`,
    title: face.title,
    detail: hidden ? view.hidden : detail,
    severity: hidden && face.severity === undefined ? "warning" : (face.severity ?? "information"),
    isBusy: face.isBusy ?? false,
    tooltip: lines.join("\n\n"),
  };
}

/** Milliseconds for a person. */
export function latency(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

/** Text that Markdown must not read. */
export function escaped(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+\-.!|<>~&$]/g, "\\$&").replace(/\s+/g, " ");
}

/** The notification's params, whatever came; undefined for what cannot be one. */
export function readStatus(params: unknown): ServerStatus | undefined {
  if (typeof params !== "object" || params === null) return undefined;
  const given = params as Record<string, unknown>;
  if (typeof given.state !== "string") return undefined;
  const text = (name: string) => (typeof given[name] === "string" ? given[name] : undefined);
  const language = text("language");
  const offReason = text("offReason");
  return {
    state: given.state,
    message: text("message") ?? "",
    model: text("model") ?? null,
    device: text("device") ?? null,
    latencyMs: typeof given.latencyMs === "number" ? given.latencyMs : null,
    ...(language === undefined ? {} : { language }),
    ...(offReason === undefined ? {} : { offReason }),
  };
}
