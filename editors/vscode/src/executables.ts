// Looking up programs on PATH, but never ones that lie inside the workspace: opening a folder must not run what is in it.
import { accessSync, constants, realpathSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join, relative, sep } from "node:path";

/** Where programs are looked for. */
export interface Places {
  /** PATH, or what stands for it. */
  readonly path: string;
  readonly platform: NodeJS.Platform;
  /** Folders whose contents are never run: those of the workspace. */
  readonly forbidden: readonly string[];
}

/** The whole path of the first program of this name on PATH; undefined where there is none. */
export function lookUp(name: string, places: Places): string | undefined {
  // a script (.cmd, .bat) would need a shell
  const names = places.platform === "win32" && !name.toLowerCase().endsWith(".exe") ? [`${name}.exe`] : [name];
  for (const folder of places.path.split(delimiter)) {
    // an entry that is empty or relative means the current folder, which may be the workspace
    if (!isAbsolute(folder)) continue;
    for (const candidate of names.map((file) => join(folder, file))) {
      if (isProgram(candidate, places.platform) && !liesIn(candidate, places.forbidden)) return candidate;
    }
  }
  return undefined;
}

/** Whether this file can be run. */
export function isProgram(file: string, platform: NodeJS.Platform): boolean {
  try {
    if (!statSync(file).isFile()) return false;
    if (platform !== "win32") accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Whether a file lies in one of the folders, by its name or by where its links lead. */
export function liesIn(file: string, folders: readonly string[]): boolean {
  return folders.some((folder) =>
    [file, real(file)].some((path) => [folder, real(folder)].some((root) => isBelow(path, root))),
  );
}

/** A path as a person wrote it, with ~ for the home folder. */
export function withHome(path: string, home: string = homedir()): string {
  return path === "~" || path.startsWith("~/") || path.startsWith("~\\") ? join(home, path.slice(1)) : path;
}

function isBelow(path: string, root: string): boolean {
  const way = relative(root, path);
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}

function real(path: string): string {
  try {
    return realpathSync.native(path); // with the letters' case as it is on the disk
  } catch {
    return path;
  }
}
