// Runs one program of an installation and can stop it with all that it has started.
import { spawn, type ChildProcess } from "node:child_process";
import { createInterface } from "node:readline";
import type { Step } from "./installPlan";

export interface Running {
  readonly folder: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly onLine: (line: string) => void;
  readonly signal: AbortSignal;
}

/** Resolves with what it printed; rejects where it fails or `signal` is aborted. */
export function runStep(step: Step, { folder, environment, onLine, signal }: Running): Promise<string> {
  return new Promise((done, failed) => {
    if (signal.aborted) {
      failed(new Error("cancelled"));
      return;
    }
    const child = spawn(step.program, step.arguments, {
      cwd: folder,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
      // a group of its own can be ended as a whole
      detached: process.platform !== "win32",
      windowsHide: true,
    });
    const lines: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream, crlfDelay: Infinity }).on("line", (line) => {
        lines.push(line);
        onLine(line);
      });
    }
    const stop = () => {
      endAll(child);
    };
    signal.addEventListener("abort", stop, { once: true });
    child.on("error", (error) => {
      signal.removeEventListener("abort", stop);
      failed(new Error(`${step.title}: ${error.message}`));
    });
    child.on("close", (code, by) => {
      signal.removeEventListener("abort", stop);
      if (signal.aborted) failed(new Error("cancelled"));
      else if (code === 0) done(lines.join("\n"));
      else failed(new Error(`${step.title} failed (${code === null ? String(by) : `exit code ${code}`})${lastError(lines)}`));
    });
  });
}

/** The line that most likely says why. */
function lastError(lines: readonly string[]): string {
  const line = lines.findLast((one) => /^error\b/i.test(one.trim())) ?? lines.findLast((one) => one.trim() !== "");
  return line === undefined ? "" : `: ${line.trim().slice(0, 300)}`;
}

function endAll(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    if (process.platform === "win32") spawn("taskkill", ["/pid", String(child.pid), "/T", "/F"], { windowsHide: true });
    else process.kill(-child.pid, "SIGKILL");
  } catch {
    child.kill("SIGKILL"); // the group has gone already
  }
}
