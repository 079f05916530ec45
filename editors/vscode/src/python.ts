// Finding a Python that the server can be installed with.
import { execFile } from "node:child_process";
import { isAbsolute } from "node:path";
import { isProgram, lookUp, withHome, type Places } from "./executables";

export const OLDEST = 11;
export const NEWEST = 13;
const PROBE_MS = 20_000;

/** A program, and what to say to it before everything else (`py -3`). */
export interface Candidate {
  readonly program: string;
  readonly arguments: readonly string[];
}

/** What a Python tells of itself. */
export interface Facts {
  readonly major: number;
  readonly minor: number;
  readonly executable: string;
  /** Whether `venv` and `ensurepip` are there; Debian keeps them in a package of their own. */
  readonly hasVenv: boolean;
  readonly is64Bit: boolean;
}

export type Verdict = { readonly fits: true } | { readonly fits: false; readonly why: string };

/** What is asked of each; one line of JSON. */
export const PROBE =
  "import json,sys,importlib.util as u;print(json.dumps({'major':sys.version_info[0],'minor':sys.version_info[1]," +
  "'executable':sys.executable,'is64Bit':sys.maxsize>2**32," +
  "'hasVenv':all(u.find_spec(m) is not None for m in ('venv','ensurepip'))}))";

/** What is tried, best first. `chosen` is the setting: if there is one, nothing else is tried. */
export function candidates(chosen: string, platform: NodeJS.Platform): Candidate[] {
  if (chosen.trim() !== "") return [{ program: withHome(chosen.trim()), arguments: [] }];
  const versions = [];
  for (let minor = NEWEST; minor >= OLDEST; minor--) versions.push(`3.${minor}`);
  const named = [...versions.map((version) => `python${version}`), "python3", "python"];
  const launcher = platform === "win32" ? versions.map((version) => ({ program: "py", arguments: [`-${version}`] })) : [];
  return [...launcher, ...named.map((program) => ({ program, arguments: [] }))];
}

/** Whether the server can be installed with it. */
export function judge(facts: Facts): Verdict {
  const version = `Python ${facts.major}.${facts.minor}`;
  if (facts.major !== 3 || facts.minor < OLDEST || facts.minor > NEWEST) {
    return { fits: false, why: `${facts.executable} is ${version}` };
  }
  if (!facts.is64Bit) return { fits: false, why: `${facts.executable} is a 32-bit ${version}` };
  if (!facts.hasVenv) {
    return {
      fits: false,
      why: `${facts.executable} (${version}) lacks venv or ensurepip (Debian, Ubuntu: apt install python3-venv)`,
    };
  }
  return { fits: true };
}

/** What to tell where nothing fits. */
export function nothingFits(chosen: string, reasons: readonly string[]): string {
  const found = reasons.length > 0 ? ` Found: ${[...new Set(reasons)].join("; ")}.` : " None was found.";
  const name = chosen.trim() === "" ? "" : ` The setting aix.install.python names ${chosen.trim()}.`;
  return `The server needs Python 3.${OLDEST} to 3.${NEWEST}.${name}${found}`;
}

/** Asks a program for its facts; undefined where it is no Python that works. */
export type Probe = (candidate: Candidate) => Promise<Facts | undefined>;

/** The first that fits. Throws an error that says what was found instead. */
export async function findPython(chosen: string, places: Places, probe: Probe): Promise<Candidate & { facts: Facts }> {
  const reasons: string[] = [];
  for (const candidate of candidates(chosen, places.platform)) {
    const program = resolve(candidate.program, places);
    if (program === undefined) {
      const passedOver = resolve(candidate.program, { ...places, forbidden: [] });
      if (passedOver !== undefined) reasons.push(`${passedOver}, which lies in the workspace: nothing there is run unasked`);
      continue;
    }
    const whole = { program, arguments: candidate.arguments };
    const facts = await probe(whole);
    if (facts === undefined) {
      if (chosen.trim() !== "") reasons.push(`${program} does not run as a Python`);
      continue;
    }
    const verdict = judge(facts);
    if (verdict.fits) return { ...whole, facts };
    reasons.push(verdict.why);
  }
  throw new Error(nothingFits(chosen, reasons));
}

/** Ask a real program. It is run in `folder`, which holds nothing that it could import. */
export function probeIn(folder: string, environment: Readonly<Record<string, string | undefined>>): Probe {
  return (candidate) =>
    new Promise((done) => {
      execFile(
        candidate.program,
        [...candidate.arguments, "-I", "-c", PROBE],
        { cwd: folder, env: environment, timeout: PROBE_MS, windowsHide: true },
        (error, stdout) => {
          done(error === null ? readFacts(stdout) : undefined);
        },
      );
    });
}

/** The probe's line, whatever else was printed. */
export function readFacts(output: string): Facts | undefined {
  try {
    const line = output.trim().split("\n").at(-1) ?? "";
    const facts = JSON.parse(line) as Partial<Facts>;
    const { major, minor, executable, hasVenv, is64Bit } = facts;
    if (typeof major !== "number" || typeof minor !== "number" || typeof executable !== "string") return undefined;
    return { major, minor, executable, hasVenv: hasVenv === true, is64Bit: is64Bit === true };
  } catch {
    return undefined;
  }
}

function resolve(program: string, places: Places): string | undefined {
  if (!isAbsolute(program)) return lookUp(program, places);
  return isProgram(program, places.platform) ? program : undefined;
}
