// The list of models to choose from, made of what the server's command `aix.models` tells.

export interface Model {
  readonly name: string;
  readonly parameters: string;
  readonly licence: string;
  readonly commercial: boolean;
  readonly onDisk: boolean;
  readonly fits: boolean;
  readonly sizeGb: number | undefined;
  readonly note: string;
}

export interface Models {
  /** What answers now. */
  readonly current: string | undefined;
  /** The value of the setting. */
  readonly chosen: string | undefined;
  readonly models: readonly Model[];
}

export type Choice =
  /** Write this into the setting. */
  | { readonly kind: "use"; readonly name: string }
  /** It has to be downloaded first. */
  | { readonly kind: "download"; readonly model: Model }
  /** Let the user write a name or choose a folder. */
  | { readonly kind: "name" }
  | { readonly kind: "folder" };

export interface Item {
  readonly label: string;
  readonly description?: string;
  readonly detail?: string;
  /** Undefined for a heading. */
  readonly choice?: Choice;
}

/** What the server tells, whatever came. */
export function readModels(answer: unknown): Models {
  const given = asRecord(answer);
  const models = Array.isArray(given.models) ? (given.models as unknown[]) : [];
  return {
    current: text(given.current),
    chosen: text(given.chosen),
    models: models.map(asRecord).flatMap((one) => {
      const name = text(one.name);
      if (name === undefined) return [];
      return {
        name,
        parameters: typeof one.parameters === "number" ? count(one.parameters) : (text(one.parameters) ?? ""),
        licence: (text(one.licence) ?? "").replace(/\.$/, ""),
        commercial: one.commercial === true,
        onDisk: one.onDisk === true,
        fits: one.fits === true,
        sizeGb: typeof one.sizeGb === "number" ? one.sizeGb : undefined,
        note: text(one.note) ?? "",
      };
    }),
  };
}

/** The list: automatic first, then what is on disk, then what could be downloaded. */
export function items({ current, chosen, models }: Models): Item[] {
  const mark = (name: string) => (name === chosen ? "$(check) " : "");
  const found: Item[] = [
    {
      label: `${mark("auto")}auto`,
      ...(chosen === "auto" && current !== undefined ? { description: `now ${current}` } : {}),
      detail: "The largest model that is on disk, fits the memory and answers while one types",
      choice: { kind: "use", name: "auto" },
    },
  ];
  const group = (title: string, members: readonly Model[], choice: (model: Model) => Choice) => {
    if (members.length === 0) return;
    found.push({ label: title });
    for (const model of members) {
      found.push({
        label: `${mark(model.name)}${model.name}`,
        description: model.name === current ? "answers now" : model.parameters,
        detail: facts(model),
        choice: choice(model),
      });
    }
  };
  group("On this machine", models.filter((model) => model.onDisk), (model) => ({ kind: "use", name: model.name }));
  group("To be downloaded first", models.filter((model) => !model.onDisk), (model) => ({ kind: "download", model }));
  found.push(
    { label: "Others" },
    { label: "$(edit) A name (owner/model)…", choice: { kind: "name" } },
    { label: "$(folder) A folder with a model's files…", choice: { kind: "folder" } },
  );
  return found;
}

/** What is said before a model is downloaded. */
export function downloadQuestion(model: Model): string {
  const facts = [model.sizeGb === undefined ? "" : size(model.sizeGb), model.licence].filter((part) => part !== "");
  return `${model.name} is not on this machine's disk${facts.length === 0 ? "" : ` (${facts.join(", ")})`}.`;
}

function facts(model: Model): string {
  const parts = [
    model.sizeGb === undefined ? "" : size(model.sizeGb),
    model.licence,
    model.commercial || /commercial/i.test(model.licence + model.note) ? "" : "not for commercial use",
    model.note !== "" || model.fits ? model.note : "does not fit this machine",
  ];
  return parts.filter((part) => part !== "").join(" · ");
}

function size(gigabytes: number): string {
  return gigabytes < 0.1 ? `${Math.round(gigabytes * 1000)} MB` : `${gigabytes.toFixed(1)} GB`;
}

function count(parameters: number): string {
  return parameters >= 1e9 ? `${(parameters / 1e9).toFixed(1)} B` : `${Math.round(parameters / 1e6)} M`;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function asRecord(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
