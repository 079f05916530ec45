// What an installation does, step by step, and what is said about it beforehand.
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Candidate } from "./python";

/** One program that is run. */
export interface Step {
  readonly title: string;
  readonly program: string;
  readonly arguments: readonly string[];
  /** Its share of the whole time, in percent. */
  readonly share: number;
  /** What it must print. */
  readonly prints?: string;
}

/** What this extension carries. */
export interface Carried {
  readonly wheel: string;
  readonly constraints: string;
  /** As pip is told: "torch==2.13.0". */
  readonly torch: string;
}

/** The server's wheel and constraints in the extension's folder. Throws where the extension was packed without them. */
export function carriedIn(folder: string): Carried {
  const names = existsSync(folder) ? readdirSync(folder) : [];
  const wheels = names.filter((name) => name.endsWith(".whl"));
  const constraints = join(folder, "constraints.txt");
  const [wheel] = wheels;
  if (wheel === undefined || wheels.length !== 1 || !existsSync(constraints)) {
    throw new Error("this extension was packed without the server: it can only use one that is installed already");
  }
  const torch = /^torch==\S+/m.exec(readFileSync(constraints, "utf8"))?.[0];
  if (torch === undefined) throw new Error("the constraints name no PyTorch");
  return { wheel: join(folder, wheel), constraints, torch };
}

/**
 * The steps for an environment in `folder`, whose own Python will be `python`. The server is installed from its file: a
 * name would let a package index decide what is run.
 */
export function plan(
  base: Candidate,
  folder: string,
  python: string,
  carried: Carried,
  torchIndex: string,
  version: string,
): Step[] {
  const pip = ["-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"];
  const index = torchIndex.trim() === "" ? [] : ["--index-url", torchIndex.trim()];
  return [
    {
      title: "making a virtual environment",
      program: base.program,
      arguments: [...base.arguments, "-I", "-m", "venv", "--clear", folder],
      share: 5,
    },
    {
      title: "installing PyTorch",
      program: python,
      arguments: [...pip, ...index, "-c", carried.constraints, carried.torch],
      share: 60,
    },
    {
      title: "installing the server",
      program: python,
      arguments: [...pip, "-c", carried.constraints, carried.wheel],
      share: 30,
    },
    { title: "trying it", program: python, arguments: ["-I", "-m", "aix_lsp", "--version"], share: 5, prints: version },
  ];
}

/** The variables for pip, without those that would make it install somewhere else. */
export function forPip(environment: Readonly<Record<string, string | undefined>>): Record<string, string | undefined> {
  const kept = Object.entries(environment).filter(([name]) => !/^PIP_(TARGET|PREFIX|ROOT)$/i.test(name));
  return { ...Object.fromEntries(kept), PIP_USER: "0" };
}

/** What is asked before anything is done. */
export function question(
  kind: "install" | "upgrade",
  version: string,
  folder: string,
  platform: NodeJS.Platform,
  torchIndex: string,
): string {
  const what =
    kind === "install"
      ? `aix needs its server, aix-lsp ${version}. Install it?`
      : `This extension brings aix-lsp ${version}; another version is running. Install this one in its place?`;
  const many = platform === "linux" && torchIndex.trim() === "";
  const size = many
    ? "with PyTorch about 2 GB, and several more with PyTorch's usual package for Linux, which brings CUDA " +
      "(setting aix.install.torchIndex names another)"
    : "with PyTorch about 2 GB";
  return `${what} It goes into a folder of its own, ${folder}: ${size}, from your package index. Nothing else is changed.`;
}

/** A line of pip's as progress; undefined for what says nothing to a person. */
export function progressOf(line: string): string | undefined {
  const found = /^\s*(Collecting|Downloading|Building wheel for|Installing collected packages)\b:?\s*(\S*)/.exec(line);
  if (found === null) return undefined;
  const [, verb = "", subject = ""] = found;
  if (verb.startsWith("Installing")) return "unpacking";
  const name = subject.split("/").at(-1)?.split(/[-=<>!~;(]/)[0] ?? "";
  const size = /\(([\d.]+ [kMG]B)\)/.exec(line)?.[1];
  return `${verb.toLowerCase()} ${name}${size === undefined ? "" : ` (${size})`}`;
}
