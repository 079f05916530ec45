// Folders with programs for the tests.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "node:test";

/** A folder that is removed after the tests. */
export function folder(): string {
  const made = mkdtempSync(join(tmpdir(), "aix-vscode-"));
  after(() => {
    rmSync(made, { recursive: true, force: true });
  });
  return made;
}

/** A file that can be run. */
export function program(file: string, text = "#!/bin/sh\n"): string {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
  chmodSync(file, 0o755);
  return file;
}
