import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { delimiter, join, sep } from "node:path";
import { test } from "node:test";
import { isProgram, liesIn, lookUp, withHome } from "../src/executables";
import { folder, program } from "./folders";

const platform = "linux";

test("the first program on PATH is found", () => {
  const [one, other] = [folder(), folder()];
  const wanted = program(join(other, "aix-lsp"));
  assert.equal(lookUp("aix-lsp", { path: [one, other].join(delimiter), platform, forbidden: [] }), wanted);
  assert.equal(lookUp("nothing", { path: [one, other].join(delimiter), platform, forbidden: [] }), undefined);
});

test("a program inside the workspace is never run", () => {
  const [workspace, elsewhere] = [folder(), folder()];
  program(join(workspace, "bin", "aix-lsp"));
  const wanted = program(join(elsewhere, "aix-lsp"));
  const path = [join(workspace, "bin"), elsewhere].join(delimiter);
  assert.equal(lookUp("aix-lsp", { path, platform, forbidden: [workspace] }), wanted);
});

test("a link that leads into the workspace is not followed", () => {
  const [workspace, elsewhere] = [folder(), folder()];
  symlinkSync(program(join(workspace, "evil")), join(elsewhere, "aix-lsp"));
  assert.equal(lookUp("aix-lsp", { path: elsewhere, platform, forbidden: [workspace] }), undefined);
});

test("a workspace that was opened through a link is the same workspace", () => {
  const [workspace, elsewhere] = [folder(), folder()];
  const file = program(join(workspace, "aix-lsp"));
  const link = join(elsewhere, "link");
  symlinkSync(workspace, link);
  assert.ok(liesIn(file, [link]));
});

test("entries of PATH that mean the current folder are passed over", () => {
  const workspace = folder();
  program(join(workspace, "aix-lsp"));
  const before = process.cwd();
  process.chdir(workspace);
  try {
    for (const entry of ["", ".", `.${sep}`]) {
      assert.equal(lookUp("aix-lsp", { path: entry, platform, forbidden: [] }), undefined);
    }
  } finally {
    process.chdir(before);
  }
});

test("a folder and a file that cannot be run are no programs", () => {
  const place = folder();
  mkdirSync(join(place, "folder"));
  writeFileSync(join(place, "text"), "");
  assert.ok(!isProgram(join(place, "folder"), platform));
  assert.ok(!isProgram(join(place, "text"), platform));
  assert.ok(!isProgram(join(place, "missing"), platform));
});

test("a folder beside the workspace with a longer name is not in it", () => {
  assert.ok(!liesIn("/work/shop-tools/aix-lsp", ["/work/shop"]));
  assert.ok(liesIn("/work/shop/aix-lsp", ["/work/shop"]));
  assert.ok(liesIn("/work/shop/..tools/aix-lsp", ["/work/shop"]));
});

test("a path may begin with the home folder's sign", () => {
  assert.equal(withHome("~/bin/aix-lsp", "/home/ada"), "/home/ada/bin/aix-lsp");
  assert.equal(withHome("/bin/~x", "/home/ada"), "/bin/~x");
});
