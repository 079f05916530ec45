// The folder in the extension's storage that holds installed servers:
//
//   servers/VERSION/          a virtual environment
//   servers/VERSION/aix.json  written last: without it the installation is half-made
//   servers/lock.json         who installs just now
import { closeSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { isProgram } from "./executables";

/** A whole installation. */
export interface Installed {
  readonly version: string;
  readonly folder: string;
  /** Its Python. */
  readonly python: string;
  /** When it was finished, in milliseconds. */
  readonly at: number;
}

/** So long an older version stays: windows that were open during an upgrade still run it. */
const KEPT_MS = 24 * 3600_000;
const MARKER = "aix.json";
const LOCK = "lock.json";

/** Installed servers below the extension's storage. */
export class Managed {
  /** Whether we hold the lock ourselves: by the process alone it would look like that of one that died. */
  private isLocked = false;

  /** `storage` need not exist yet. */
  constructor(
    private readonly storage: string,
    private readonly platform: NodeJS.Platform = process.platform,
  ) {}

  /** Where all of them lie. */
  get root(): string {
    return join(this.storage, "servers");
  }

  /** Where this version would lie. */
  folder(version: string): string {
    return join(this.root, version);
  }

  /** The Python of an environment. */
  python(folder: string): string {
    return this.platform === "win32" ? join(folder, "Scripts", "python.exe") : join(folder, "bin", "python");
  }

  /** Everything that is whole, the latest installed first. */
  installed(): Installed[] {
    const found: Installed[] = [];
    for (const name of this.folders()) {
      const folder = join(this.root, name);
      const marker = readObject(join(folder, MARKER));
      const python = this.python(folder);
      if (marker?.version !== name || !isProgram(python, this.platform)) continue;
      found.push({ version: name, folder, python, at: Number(marker.at) || 0 });
    }
    return found.sort((one, other) => other.at - one.at);
  }

  /** From now on the installation counts. Throws what the file system does. */
  finish(version: string, at: number = Date.now()): Installed {
    const folder = this.folder(version);
    writeFileSync(join(folder, MARKER), JSON.stringify({ version, at }));
    return { version, folder, python: this.python(folder), at };
  }

  /** Take away one version, whole or not. */
  async remove(version: string): Promise<void> {
    const folder = this.folder(version);
    // the marker goes first: what is left after a failure is half-made and nothing else
    rmSync(join(folder, MARKER), { force: true });
    await rm(folder, { recursive: true, force: true, maxRetries: 3, retryDelay: 200 });
  }

  /**
   * Take away what nobody needs: half-made installations, and those that a newer one replaced a day ago. `own` is the
   * version that is used, which need not be the newest. Needs the lock. Gives what could not be removed.
   */
  async removeOld(own: string, now: number = Date.now()): Promise<string[]> {
    const left: string[] = [];
    const whole = this.installed();
    const [newest] = whole;
    const isRecent = newest !== undefined && now - newest.at <= KEPT_MS;
    const kept = new Set(
      whole.map((one) => one.version).filter((name) => isRecent || name === own || name === newest?.version),
    );
    for (const name of this.folders()) {
      if (kept.has(name)) continue;
      try {
        await this.remove(name);
      } catch {
        left.push(name); // in use by another window, on Windows
      }
    }
    return left;
  }

  /** Claim the right to install or remove. False while we hold it, or another window whose process is alive. */
  lock(process_: number = process.pid, isAlive: (id: number) => boolean = processIsAlive): boolean {
    if (this.isLocked) return false;
    mkdirSync(this.root, { recursive: true });
    const file = join(this.root, LOCK);
    for (let attempt = 0; attempt < 2; attempt++) {
      try {
        const handle = openSync(file, "wx");
        writeSync(handle, JSON.stringify({ process: process_ }));
        closeSync(handle);
        this.isLocked = true;
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
        const holder = Number(readObject(file)?.process);
        if (holder > 0 && holder !== process_ && isAlive(holder)) return false;
        rmSync(file, { force: true });
      }
    }
    return false;
  }

  /** Give the right back. */
  unlock(): void {
    this.isLocked = false;
    rmSync(join(this.root, LOCK), { force: true });
  }

  private folders(): string[] {
    try {
      return readdirSync(this.root, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name);
    } catch {
      return [];
    }
  }
}

function processIsAlive(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function readObject(file: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(file, "utf8"));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
