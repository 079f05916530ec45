// Lines that the server writes to its standard error, for an output channel with levels.

export type Level = "error" | "warn" | "info" | "debug";

const LEVELS: Readonly<Record<string, Level>> = {
  CRITICAL: "error",
  ERROR: "error",
  WARNING: "warn",
  INFO: "info",
  DEBUG: "debug",
};

/** How serious a line is; lines of tracebacks and of programs that we do not know count as warnings. */
export function levelOf(line: string): Level {
  return LEVELS[/^([A-Z]+) [\w.]+: /.exec(line)?.[1] ?? ""] ?? "warn";
}
