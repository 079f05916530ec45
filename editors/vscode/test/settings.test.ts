import assert from "node:assert/strict";
import { test } from "node:test";
import manifest from "../package.json";
import {
  changedOptions,
  machineValues,
  optionsOf,
  restartState,
  sharedValues,
  type Inspected,
  type Option,
} from "../src/settings";

const OPTIONS: Option[] = [
  { name: "model.name", scope: "machine", restart: true },
  { name: "log.level", scope: "window", restart: false },
  { name: "completion.max_lines", scope: "resource", restart: false },
  { name: "retrieval.chunk_lines", scope: "resource", restart: true },
];

const inspecting = (values: Record<string, Inspected>) => (name: string) => values[name];

test("nothing that the user left alone is sent", () => {
  const untouched = inspecting({});
  assert.deepEqual(machineValues(OPTIONS, untouched), {});
  assert.deepEqual(sharedValues(OPTIONS, untouched, true), {});
});

test("options of the machine come from the user alone", () => {
  const both = inspecting({ "model.name": { globalValue: "aix-mini", workspaceValue: "evil", workspaceFolderValue: "evil" } });
  assert.deepEqual(machineValues(OPTIONS, both), { model: { name: "aix-mini" } });
  const workspace = inspecting({ "model.name": { workspaceValue: "evil" } });
  assert.deepEqual(machineValues(OPTIONS, workspace), {});
  assert.deepEqual(sharedValues(OPTIONS, workspace, true), {});
});

test("a folder's value counts before the workspace's, and that before the user's", () => {
  const values: Inspected = { globalValue: 1, workspaceValue: 2, workspaceFolderValue: 3 };
  const ask = inspecting({ "completion.max_lines": values, "log.level": { globalValue: "info", workspaceFolderValue: "debug" } });
  assert.deepEqual(sharedValues(OPTIONS, ask, true), { completion: { max_lines: 3 }, log: { level: "info" } });
});

test("a workspace that is not trusted sets nothing", () => {
  const ask = inspecting({ "completion.max_lines": { globalValue: 1, workspaceValue: 2 }, "log.level": { workspaceValue: "debug" } });
  assert.deepEqual(sharedValues(OPTIONS, ask, false), { completion: { max_lines: 1 } });
});

test("false, 0 and an empty text are values like others", () => {
  const ask = inspecting({ "log.level": { globalValue: "" }, "completion.max_lines": { globalValue: 0, workspaceValue: false } });
  assert.deepEqual(sharedValues(OPTIONS, ask, true), { log: { level: "" }, completion: { max_lines: false } });
});

test("what needs a restart is told by name, and no more once it is taken back", () => {
  const before = restartState(OPTIONS, inspecting({}), true);
  const after = restartState(
    OPTIONS,
    inspecting({ "model.name": { globalValue: "x" }, "log.level": { globalValue: "debug" }, "retrieval.chunk_lines": { workspaceValue: 5 } }),
    true,
  );
  assert.deepEqual(changedOptions(OPTIONS, before, after), ["model.name", "retrieval.chunk_lines"]);
  assert.deepEqual(changedOptions(OPTIONS, before, restartState(OPTIONS, inspecting({}), true)), []);
});

test("the options are read from package.json, without those of the extension itself", () => {
  const options = optionsOf(manifest);
  const byName = new Map(options.map((option) => [option.name, option]));
  assert.equal(byName.get("model.name")?.scope, "machine");
  assert.equal(byName.get("model.name")?.restart, true);
  assert.equal(byName.get("retrieval.chunk_lines")?.restart, true);
  assert.equal(byName.get("completion.max_lines")?.restart ?? false, false);
  for (const own of ["serverPath", "serverArguments", "install.python", "install.torchIndex", "trace.server"]) {
    assert.ok(!byName.has(own), own);
  }
  assert.ok(options.length > 30);
  assert.deepEqual(optionsOf(undefined), []);
});
