import assert from "node:assert/strict";
import { test } from "node:test";
import manifest from "../package.json";
import { levelOf } from "../src/logLines";
import { entries, type Moment } from "../src/menu";
import { downloadQuestion, items, readModels } from "../src/models";
import { escaped, latency, readStatus, shown, type ServerStatus, type View } from "../src/status";

const status = (changes: Partial<ServerStatus> = {}): ServerStatus => ({
  state: "ready",
  message: "aix-mini is ready (cpu, float32)",
  model: "aix-mini",
  device: "cpu",
  latencyMs: 85,
  ...changes,
});
const view = (changes: Partial<View> = {}): View => ({ phase: "running", note: "", status: status(), hidden: "", ...changes });
const moment = (changes: Partial<Moment> = {}): Moment => ({
  phase: "running",
  status: status(),
  language: "python",
  hidden: "",
  ...changes,
});
const commandsOf = (changes: Partial<Moment>) => entries(moment(changes)).map((entry) => entry.command);

test("the tooltip has model, device and how long the latest offer took", () => {
  const { text, tooltip, severity } = shown(view());
  assert.equal(text, "$(sparkle) aix");
  assert.equal(severity, "information");
  assert.match(tooltip, /Model: aix\\-mini \(cpu\)/);
  assert.match(tooltip, /85 ms/);
});

test("each state of the server and each phase of ours has an icon and words", () => {
  for (const state of ["loading", "indexing", "ready", "busy", "degraded", "failed", "off", "paused"]) {
    assert.match(shown(view({ status: status({ state }) })).text, /^\$\([a-z~-]+\) aix$/);
  }
  for (const phase of ["missing", "installing", "starting", "running", "waiting", "failed", "stopped"] as const) {
    const now = shown(view({ phase, status: undefined, note: "why" }));
    assert.match(now.text, /^\$\([a-z~-]+\) aix$/);
    assert.equal(now.detail, "why");
  }
});

test("why it is off is told before everything else", () => {
  const now = shown(view({ status: status({ state: "paused", offReason: "paused for 30 more minutes" }) }));
  assert.equal(now.detail, "paused for 30 more minutes");
  assert.equal(now.title, "paused");
});

test("that VS Code itself shows no offers is a warning", () => {
  const now = shown(view({ hidden: "editor.inlineSuggest.enabled is off" }));
  assert.equal(now.severity, "warning");
  assert.equal(now.detail, "editor.inlineSuggest.enabled is off");
});

test("a model's name cannot become a link or a command", () => {
  const name = "[x](command:evil) <b>$(error)";
  const { tooltip } = shown(view({ status: status({ model: name }) }));
  assert.ok(!tooltip.includes("](command"));
  assert.ok(tooltip.includes(escaped(name)));
  assert.equal(escaped("a\nb"), "a b");
});

test("times are for people", () => {
  assert.equal(latency(84.6), "85 ms");
  assert.equal(latency(1234), "1.2 s");
});

test("a notification that is none is passed over", () => {
  assert.equal(readStatus(undefined), undefined);
  assert.equal(readStatus({ message: "x" }), undefined);
  assert.deepEqual(readStatus({ state: "ready", latencyMs: "soon", model: 3 }), {
    state: "ready",
    message: "",
    model: null,
    device: null,
    latencyMs: null,
  });
});

test("the menu offers what is possible just now", () => {
  assert.ok(commandsOf({}).includes("aix-lsp.changeModel"));
  assert.ok(commandsOf({}).includes("aix-lsp.toggleLanguage"));
  assert.ok(!commandsOf({ language: undefined }).includes("aix-lsp.toggleLanguage"));
  assert.equal(commandsOf({ phase: "missing", status: undefined })[0], "aix-lsp.installServer");
  assert.ok(!commandsOf({ phase: "missing", status: undefined }).includes("aix-lsp.pause"));
  assert.ok(commandsOf({ phase: "failed", status: undefined }).includes("aix-lsp.restart"));
  assert.ok(!commandsOf({}).includes("aix-lsp.installServer"));
  assert.ok(commandsOf({ hidden: "off" }).includes("aix-lsp.showSuggestions"));
});

test("pausing becomes resuming while it is paused", () => {
  const paused = entries(moment({ status: status({ state: "paused", offReason: "for 3 more minutes" }) }));
  assert.ok(paused.some((entry) => entry.label.includes("Resume") && entry.detail === "for 3 more minutes"));
});

test("every entry of the menu runs a command of this extension", () => {
  const known = new Set([...manifest.contributes.commands.map((one) => one.command), "aix-lsp.showSuggestions"]);
  for (const phase of ["missing", "installing", "starting", "running", "waiting", "failed", "stopped"] as const) {
    for (const command of commandsOf({ phase, hidden: "off" })) assert.ok(known.has(command), command);
  }
});

const MODELS = {
  current: "aix-mini",
  chosen: "auto",
  models: [
    { name: "aix-mini", parameters: 12_600_000, licence: "Apache-2.0", commercial: true, onDisk: true, fits: true, sizeGb: 0.025, note: "" },
    { name: "qwen2.5-coder-3b", parameters: "3.1 B", licence: "Qwen Research", commercial: false, onDisk: false, fits: false, sizeGb: 6.2, note: "slow here" },
  ],
};

test("models on disk come before those that must be downloaded, with what one has to know", () => {
  const found = items(readModels(MODELS));
  const labels = found.map((item) => item.label);
  assert.deepEqual(labels.slice(0, 5), ["$(check) auto", "On this machine", "aix-mini", "To be downloaded first", "qwen2.5-coder-3b"]);
  assert.equal(found[4]?.detail, "6.2 GB · Qwen Research · not for commercial use · slow here");
  assert.deepEqual(found[2]?.choice, { kind: "use", name: "aix-mini" });
  assert.equal(found[4].choice?.kind, "download");
});

test("without the server's list a name or a folder can still be given", () => {
  const kinds = items(readModels(undefined)).map((item) => item.choice?.kind);
  assert.deepEqual(kinds, ["use", undefined, "name", "folder"]);
});

test("before a download its size and licence are told", () => {
  const model = readModels(MODELS).models[1];
  assert.ok(model !== undefined);
  assert.equal(downloadQuestion(model), "qwen2.5-coder-3b is not on this machine's disk (6.2 GB, Qwen Research).");
});

test("the server's lines keep their level", () => {
  assert.equal(levelOf("ERROR aix_lsp.server.app: a handler failed"), "error");
  assert.equal(levelOf("WARNING aix_lsp.engine: x"), "warn");
  assert.equal(levelOf("INFO aix_lsp: x"), "info");
  assert.equal(levelOf("Traceback (most recent call last):"), "warn");
});
