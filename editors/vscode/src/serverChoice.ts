// Which server is started: the one that the user named, the one that this extension has installed, one on PATH, or none.
import { isAbsolute } from "node:path";
import { isProgram, lookUp, withHome, type Places } from "./executables";
import type { Installed } from "./managed";

/** How to start a server. */
export interface ServerCommand {
  readonly program: string;
  /** Everything behind the program. */
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** For the log and the menu. */
  readonly origin: string;
}

/** What the choice depends on. */
export interface Situation {
  /** Settings aix.serverPath and aix.serverArguments. */
  readonly serverPath: string;
  readonly serverArguments: readonly string[];
  /** This extension's version. */
  readonly version: string;
  /** What is installed in the extension's storage, the newest first. */
  readonly installed: readonly Installed[];
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export type Choice =
  | { readonly kind: "start"; readonly command: ServerCommand }
  /** The server of an older version of this extension: it works, but an upgrade should be offered. */
  | { readonly kind: "outdated"; readonly command: ServerCommand; readonly version: string }
  | { readonly kind: "wrong"; readonly why: string }
  | { readonly kind: "none" };

const SERVE = ["serve", "--stdio"];

/** Decide. `places` says what may be run. */
export function chooseServer(situation: Situation, places: Places): Choice {
  if (situation.serverPath.trim() !== "") return named(situation, places);
  const same = situation.installed.find((one) => one.version === situation.version);
  if (same !== undefined) return { kind: "start", command: managedCommand(same, situation.environment) };
  const onPath = lookUp("aix-lsp", places);
  const older = situation.installed[0];
  if (older !== undefined) {
    return { kind: "outdated", command: managedCommand(older, situation.environment), version: older.version };
  }
  if (onPath !== undefined) {
    return {
      kind: "start",
      command: { program: onPath, arguments: SERVE, environment: situation.environment, origin: `${onPath} (on PATH)` },
    };
  }
  return { kind: "none" };
}

function named(situation: Situation, places: Places): Choice {
  const given = withHome(situation.serverPath.trim());
  let program: string | undefined = given;
  if (!isAbsolute(given)) {
    if (/[\\/]/.test(given)) return { kind: "wrong", why: `aix.serverPath is not a whole path: ${given}` };
    program = lookUp(given, places);
    if (program === undefined) return { kind: "wrong", why: `aix.serverPath: there is no ${given} on PATH` };
  } else if (!isProgram(given, places.platform)) {
    return { kind: "wrong", why: `aix.serverPath: ${given} is no program that can be run` };
  }
  return {
    kind: "start",
    command: {
      program,
      arguments: situation.serverArguments,
      environment: situation.environment,
      origin: `${program} (aix.serverPath)`,
    },
  };
}

/** The installed server's own Python, cut off from other Pythons' variables, which would put their packages first. */
function managedCommand(installed: Installed, environment: Situation["environment"]): ServerCommand {
  return {
    program: installed.python,
    arguments: ["-m", "aix_lsp", ...SERVE],
    environment: isolated(environment),
    origin: `the installed server ${installed.version}`,
  };
}

/** The variables for a Python that must see its own packages only, and nothing of the current folder. */
export function isolated(environment: Situation["environment"]): Record<string, string | undefined> {
  const kept = Object.entries(environment).filter(([name]) => !/^(PYTHONPATH|PYTHONHOME|__PYVENV_LAUNCHER__)$/i.test(name));
  return { ...Object.fromEntries(kept), PYTHONNOUSERSITE: "1", PYTHONSAFEPATH: "1" };
}

/** The same server with another command (`download NAME`) instead of `serve`; undefined where that cannot be told. */
export function withCommand(command: ServerCommand, words: readonly string[]): ServerCommand | undefined {
  const serve = command.arguments.lastIndexOf("serve");
  if (serve < 0) return undefined;
  return { ...command, arguments: [...command.arguments.slice(0, serve), ...words] };
}
