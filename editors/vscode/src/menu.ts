// The menu behind the status bar item: which entries there are at a moment.
import type { Phase, ServerStatus } from "./status";

export interface Entry {
  readonly label: string;
  readonly detail?: string;
  /** The VS Code command that it runs. */
  readonly command: string;
}

/** What the entries depend on. */
export interface Moment {
  readonly phase: Phase;
  readonly status: ServerStatus | undefined;
  /** The open document's language identifier. */
  readonly language: string | undefined;
  /** Why VS Code itself shows no offers; empty where it does. */
  readonly hidden: string;
}

/** The entries, the likeliest first. */
export function entries(moment: Moment): Entry[] {
  const found: Entry[] = [];
  const install: Entry = { label: "$(cloud-download) Install the server…", command: "aix-lsp.installServer" };
  if (moment.phase === "missing") {
    found.push(install, { label: "$(folder-opened) Choose a server that is installed already…", command: "aix-lsp.chooseServer" });
  }
  if (moment.hidden !== "") {
    found.push({ label: "$(eye) Show inline suggestions in VS Code", detail: moment.hidden, command: "aix-lsp.showSuggestions" });
  }
  if (moment.phase === "running") found.push(...whileRunning(moment));
  found.push({ label: "$(output) Show the log", command: "aix-lsp.showLog" });
  if (moment.phase !== "missing" && moment.phase !== "installing") {
    found.push({ label: "$(debug-restart) Restart the server", command: "aix-lsp.restart" });
  }
  if (moment.phase === "failed") found.push({ ...install, label: "$(cloud-download) Install the server anew…" });
  found.push(
    { label: "$(gear) Settings", command: "aix-lsp.settings" },
    { label: "$(mortar-board) First steps", command: "aix-lsp.openWalkthrough" },
  );
  return found;
}

function whileRunning({ status, language }: Moment): Entry[] {
  const isPaused = status?.state === "paused";
  const isOff = status?.state === "off";
  const found: Entry[] = [
    isPaused
      ? { label: "$(debug-continue) Resume", ...reason(status), command: "aix-lsp.pause" }
      : { label: "$(debug-pause) Pause for 30 minutes", command: "aix-lsp.pause" },
    isOff
      ? { label: "$(circle-large-filled) Switch on or off everywhere", ...reason(status), command: "aix-lsp.toggle" }
      : { label: "$(circle-slash) Switch off everywhere", command: "aix-lsp.toggle" },
  ];
  if (language !== undefined) {
    const verb = isOff ? "Switch on or off" : "Switch off";
    found.push({ label: `$(symbol-file) ${verb} for ${language}`, command: "aix-lsp.toggleLanguage" });
  }
  found.push(
    {
      label: "$(question) Why was this offered, or nothing?",
      detail: "The latest requests with their prompts: shows your code",
      command: "aix-lsp.inspect",
    },
    { label: "$(chip) Change the model…", ...(status?.model == null ? {} : { detail: `now ${status.model}` }), command: "aix-lsp.changeModel" },
  );
  return found;
}

function reason(status: ServerStatus | undefined): { detail?: string } {
  return status?.offReason === undefined ? {} : { detail: status.offReason };
}
