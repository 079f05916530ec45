// What the user has set, as the server wants to be told of it: never defaults, which would override the user's
// configuration file and environment. Knows nothing of VS Code, so that it can be tested without it.

export type Scope = "machine" | "window" | "resource";

/** One option of the server. */
export interface Option {
  /** "section.option", without the prefix. */
  readonly name: string;
  readonly scope: Scope;
  /** Whether the server reads it at its start only. */
  readonly restart: boolean;
}

/** What VS Code's `inspect` tells of an option, as far as we read it. */
export interface Inspected {
  readonly globalValue?: unknown;
  readonly workspaceValue?: unknown;
  readonly workspaceFolderValue?: unknown;
}

export type Inspect = (name: string) => Inspected | undefined;

export const PREFIX = "aix.";

/** What the generated descriptions of such options end with (docs/generate_vscode.py). */
const RESTART_NOTE = "*A change needs a restart of the server.*";

/** Options of this extension; the server does not know them. */
const OF_THE_CLIENT = new Set(["serverPath", "serverArguments", "install.python", "install.torchIndex", "trace.server"]);

/** The server's options, from `contributes.configuration` of package.json. */
export function optionsOf(manifest: unknown): Option[] {
  const options: Option[] = [];
  for (const category of list(at(at(manifest, "contributes"), "configuration"))) {
    for (const [key, property] of Object.entries(asRecord(at(category, "properties")))) {
      const name = key.slice(PREFIX.length);
      if (!key.startsWith(PREFIX) || OF_THE_CLIENT.has(name)) continue;
      const scope = at(property, "scope");
      const text = at(property, "markdownDescription");
      options.push({
        name,
        scope: scope === "machine" || scope === "resource" ? scope : "window",
        restart: scope === "machine" || (typeof text === "string" && text.includes(RESTART_NOTE)),
      });
    }
  }
  return options;
}

/**
 * `initializationOptions`: what the user set of the options that belong to the machine. The others are asked for with
 * workspace/configuration before anything is loaded; sent here too, they could not be taken back until a restart.
 */
export function machineValues(options: readonly Option[], inspect: Inspect): Record<string, unknown> {
  return nested(
    options
      .filter((option) => option.scope === "machine")
      .map((option): [string, unknown] => [option.name, inspect(option.name)?.globalValue]),
  );
}

/**
 * The answer to workspace/configuration: what the user and, where it is trusted, the workspace set of all other options.
 */
export function sharedValues(
  options: readonly Option[],
  inspect: Inspect,
  isTrusted: boolean,
): Record<string, unknown> {
  return nested(
    options
      .filter((option) => option.scope !== "machine")
      .map((option): [string, unknown] => [option.name, effective(inspect(option.name), option.scope, isTrusted)]),
  );
}

/** The values that a restart would make count, as one string to compare. */
export function restartState(options: readonly Option[], inspect: Inspect, isTrusted: boolean): string {
  const values = options
    .filter((option) => option.restart)
    .map((option) =>
      option.scope === "machine"
        ? inspect(option.name)?.globalValue
        : effective(inspect(option.name), option.scope, isTrusted),
    );
  return JSON.stringify(values.map((value) => value ?? null));
}

/** Which of the options differ between two such states, by name. */
export function changedOptions(options: readonly Option[], before: string, after: string): string[] {
  const [old, now] = [JSON.parse(before) as unknown[], JSON.parse(after) as unknown[]];
  return options
    .filter((option) => option.restart)
    .filter((_, index) => JSON.stringify(old[index]) !== JSON.stringify(now[index]))
    .map((option) => option.name);
}

function effective(found: Inspected | undefined, scope: Scope, isTrusted: boolean): unknown {
  if (found === undefined) return undefined;
  if (!isTrusted) return found.globalValue;
  const folder = scope === "resource" ? found.workspaceFolderValue : undefined;
  return folder ?? found.workspaceValue ?? found.globalValue;
}

/** {"model.name": "x"} as {model: {name: "x"}}, without what is not set. */
function nested(values: readonly (readonly [string, unknown])[]): Record<string, unknown> {
  const result: Record<string, Record<string, unknown>> = {};
  for (const [name, value] of values) {
    if (value === undefined) continue;
    const dot = name.indexOf(".");
    const section = name.slice(0, dot);
    result[section] = { ...result[section], [name.slice(dot + 1)]: value };
  }
  return result;
}

function at(value: unknown, name: string): unknown {
  return asRecord(value)[name];
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : value === undefined ? [] : [value];
}
