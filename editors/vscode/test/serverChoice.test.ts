import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import type { Places } from "../src/executables";
import { chooseServer, withCommand, type Choice, type Situation } from "../src/serverChoice";
import { folder, program } from "./folders";

const situation = (changes: Partial<Situation>): Situation => ({
  serverPath: "",
  serverArguments: ["serve", "--stdio"],
  version: "1.2.0",
  installed: [],
  environment: {},
  ...changes,
});
const nowhere: Places = { path: "", platform: "linux", forbidden: [] };
const installed = (version: string) => ({ version, folder: `/s/${version}`, python: `/s/${version}/bin/python`, at: 0 });

function commandOf(choice: Choice) {
  assert.ok(choice.kind === "start" || choice.kind === "outdated", choice.kind);
  return choice.command;
}

test("the server that the user named comes first", () => {
  const server = program(join(folder(), "server"));
  const choice = chooseServer(
    situation({ serverPath: server, serverArguments: ["-m", "aix_lsp", "serve", "--stdio"], installed: [installed("1.2.0")] }),
    nowhere,
  );
  assert.equal(choice.kind, "start");
  assert.equal(commandOf(choice).program, server);
  assert.deepEqual(commandOf(choice).arguments, ["-m", "aix_lsp", "serve", "--stdio"]);
});

test("a wrong name is told in one line, and nothing else is started in its place", () => {
  for (const serverPath of ["/no/such/server", "bin/server", "no-such-server"]) {
    const choice = chooseServer(situation({ serverPath, installed: [installed("1.2.0")] }), nowhere);
    assert.ok(choice.kind === "wrong" && choice.why.includes(serverPath) && !choice.why.includes("\n"));
  }
});

test("the installed server of this version comes before one on PATH", () => {
  const path = folder();
  program(join(path, "aix-lsp"));
  const choice = chooseServer(situation({ installed: [installed("1.1.0"), installed("1.2.0")] }), { ...nowhere, path });
  assert.equal(choice.kind, "start");
  assert.equal(commandOf(choice).program, "/s/1.2.0/bin/python");
  assert.deepEqual(commandOf(choice).arguments, ["-m", "aix_lsp", "serve", "--stdio"]);
});

test("an installed server of another version runs until it is replaced", () => {
  const choice = chooseServer(situation({ installed: [installed("1.1.0")] }), nowhere);
  assert.ok(choice.kind === "outdated" && choice.version === "1.1.0");
});

test("a server on PATH is taken where none is installed, and where there is none that is said", () => {
  const path = folder();
  const server = program(join(path, "aix-lsp"));
  assert.equal(commandOf(chooseServer(situation({}), { ...nowhere, path })).program, server);
  assert.deepEqual(chooseServer(situation({}), nowhere), { kind: "none" });
});

test("the installed server sees its own packages only", () => {
  const environment = { PYTHONPATH: "/elsewhere", PythonHome: "/x", PATH: "/bin", HF_HOME: "/models" };
  const { environment: seen } = commandOf(chooseServer(situation({ installed: [installed("1.2.0")], environment }), nowhere));
  assert.deepEqual(seen, { PATH: "/bin", HF_HOME: "/models", PYTHONNOUSERSITE: "1", PYTHONSAFEPATH: "1" });
});

test("another command goes to the same server", () => {
  const base = { program: "python", environment: {}, origin: "" };
  const command = { ...base, arguments: ["-m", "aix_lsp", "serve", "--stdio"] };
  assert.deepEqual(withCommand(command, ["download", "x"])?.arguments, ["-m", "aix_lsp", "download", "x"]);
  assert.equal(withCommand({ ...base, arguments: ["start.sh"] }, ["download", "x"]), undefined);
});
