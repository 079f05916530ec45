import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { carriedIn, forPip, plan, progressOf, question } from "../src/installPlan";
import { Managed } from "../src/managed";
import { runStep } from "../src/runStep";
import { folder, program } from "./folders";

const DAY = 24 * 3600_000;
const CARRIED = { wheel: "/x/server/aix_lsp-1.2.0-py3-none-any.whl", constraints: "/x/server/constraints.txt", torch: "torch==2.13.0" };
const steps = (index = "") =>
  plan({ program: "py", arguments: ["-3.12"] }, "/s/1.2.0", "/s/1.2.0/bin/python", CARRIED, index, "1.2.0");

test("the server is installed from its file, never by its name, and everything by the constraints", () => {
  const words = steps().map((step) => step.arguments);
  assert.ok(words.every((one) => !one.includes("aix-lsp") && !one.some((word) => /^aix[-_]lsp[=<>~]/.test(word))));
  for (const pip of words.filter((one) => one.includes("pip"))) assert.equal(pip[pip.indexOf("-c") + 1], CARRIED.constraints);
  assert.equal(words[2]?.at(-1), CARRIED.wheel);
  assert.equal(words[1]?.at(-1), "torch==2.13.0");
});

test("only PyTorch is taken from the index that is named for it", () => {
  const withIndex = steps(" https://example.org/cpu ").map((step) => step.arguments.join(" "));
  assert.deepEqual(withIndex.map((words) => words.includes("--index-url https://example.org/cpu")), [false, true, false, false]);
  assert.ok(steps().every((step) => !step.arguments.includes("--index-url")));
});

test("the environment is made with the Python that was found, and the rest runs in it", () => {
  const [first, ...rest] = steps();
  assert.deepEqual([first?.program, first?.arguments[0]], ["py", "-3.12"]);
  assert.ok(rest.every((step) => step.program === "/s/1.2.0/bin/python"));
  assert.equal(steps().reduce((sum, step) => sum + step.share, 0), 100);
});

test("pip is not led elsewhere by what the user has set for other Pythons", () => {
  assert.deepEqual(forPip({ PIP_TARGET: "/x", PIP_USER: "1", PIP_INDEX_URL: "u" }), { PIP_USER: "0", PIP_INDEX_URL: "u" });
});

test("what is carried is found by its kind, and an extension without it says so", () => {
  const place = folder();
  assert.throws(() => carriedIn(place), /packed without the server/);
  writeFileSync(join(place, "aix_lsp-1.2.0-py3-none-any.whl"), "");
  writeFileSync(join(place, "constraints.txt"), "tokenizers==1\ntorch==2.13.0\n");
  assert.equal(carriedIn(place).torch, "torch==2.13.0");
});

test("the question says what, where and how large", () => {
  const text = question("install", "1.2.0", "/storage/servers", "linux", "");
  for (const part of ["1.2.0", "/storage/servers", "2 GB", "aix.install.torchIndex"]) assert.ok(text.includes(part), part);
  assert.ok(!question("install", "1.2.0", "/s", "darwin", "").includes("CUDA"));
  assert.ok(!question("upgrade", "1.2.0", "/s", "linux", "u").includes("CUDA"));
});

test("pip's lines become progress", () => {
  assert.equal(progressOf("Collecting numpy==2.4.6"), "collecting numpy");
  assert.equal(progressOf("  Downloading torch-2.13.0-cp312-cp312-linux_x86_64.whl (180.5 MB)"), "downloading torch (180.5 MB)");
  assert.equal(progressOf("Installing collected packages: a, b"), "unpacking");
  assert.equal(progressOf("  Using cached x"), undefined);
});

function install(managed: Managed, version: string, at: number) {
  program(managed.python(managed.folder(version)));
  return managed.finish(version, at);
}

test("an installation counts once it is finished, and not any more without its Python", async () => {
  const managed = new Managed(folder(), "linux");
  program(managed.python(managed.folder("1.0.0")));
  assert.deepEqual(managed.installed(), []);
  managed.finish("1.0.0");
  assert.deepEqual(managed.installed().map((one) => one.version), ["1.0.0"]);
  await managed.remove("1.0.0");
  assert.deepEqual(managed.installed(), []);
  mkdirSync(managed.folder("1.1.0"));
  managed.finish("1.1.0");
  assert.deepEqual(managed.installed(), []);
});

test("half-made installations go at once, replaced ones after a day", async () => {
  const managed = new Managed(folder(), "linux");
  const now = 100 * DAY;
  install(managed, "1.0.0", now - 50 * DAY);
  install(managed, "1.1.0", now - DAY / 2);
  program(managed.python(managed.folder("1.2.0")));
  assert.deepEqual(await managed.removeOld("1.1.0", now), []);
  assert.deepEqual(managed.installed().map((one) => one.version), ["1.1.0", "1.0.0"]);
  assert.ok(!existsSync(managed.folder("1.2.0")));
  await managed.removeOld("1.1.0", now + DAY);
  assert.deepEqual(managed.installed().map((one) => one.version), ["1.1.0"]);
});

test("the version that is used stays, also beside a newer one", async () => {
  const managed = new Managed(folder(), "linux");
  const now = 100 * DAY;
  for (const [version, age] of [["1.0.0", 9], ["1.1.0", 8], ["1.2.0", 7]] as const) install(managed, version, now - age * DAY);
  await managed.removeOld("1.1.0", now);
  assert.deepEqual(managed.installed().map((one) => one.version), ["1.2.0", "1.1.0"]);
});

test("one window installs at a time; the lock of one that died is taken over", () => {
  const place = folder();
  const window = () => new Managed(place, "linux");
  const first = window();
  assert.ok(first.lock(1, () => true));
  assert.ok(!window().lock(2, () => true));
  const second = window();
  assert.ok(second.lock(2, () => false));
  second.unlock();
  assert.ok(window().lock(3, () => true));
});

test("the lock is given once in a window too, so that nothing is tidied away under an installation", () => {
  const managed = new Managed(folder(), "linux");
  assert.ok(managed.lock());
  assert.ok(!managed.lock());
  managed.unlock();
  assert.ok(managed.lock());
});

test("a lock of a process that had our number before is taken over", () => {
  const place = folder();
  assert.ok(new Managed(place, "linux").lock(7, () => true));
  assert.ok(new Managed(place, "linux").lock(7, () => true));
});

const running = (signal = new AbortController().signal) => {
  const lines: string[] = [];
  return { lines, options: { folder: folder(), environment: process.env, onLine: (line: string) => lines.push(line), signal } };
};

test("a step's output is passed on line by line", async () => {
  const { lines, options } = running();
  const step = { title: "trying", program: process.execPath, arguments: ["-e", "console.log('a'); console.error('b')"], share: 1 };
  assert.match(await runStep(step, options), /a/);
  assert.deepEqual(lines.sort(), ["a", "b"]);
});

test("a step that fails says why", async () => {
  const failing = { title: "trying", program: process.execPath, share: 1, arguments: ["-e", "console.log('ERROR: no torch'); console.log('end'); process.exit(3)"] };
  await assert.rejects(runStep(failing, running().options), { message: "trying failed (exit code 3): ERROR: no torch" });
  const missing = { title: "trying", program: "/no/such/program", share: 1, arguments: [] };
  await assert.rejects(runStep(missing, running().options), /^Error: trying: .*ENOENT/);
});

test("a step that is cancelled ends with all that it has started", { skip: process.platform === "win32", timeout: 120_000 }, async () => {
  const stop = new AbortController();
  const { lines, options } = running(stop.signal);
  const script =
    "const c = require('child_process').spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], {stdio: 'ignore'});" +
    "console.log(c.pid); setInterval(() => {}, 1000)";
  const step = { title: "trying", program: process.execPath, arguments: ["-e", script], share: 1 };
  const ended = runStep(step, {
    ...options,
    onLine: (line) => {
      lines.push(line);
      stop.abort();
    },
  });
  await assert.rejects(ended, { message: "cancelled" });
  const child = Number(lines[0]);
  while (isRunning(child)) await new Promise((done) => setTimeout(done, 20));
  await assert.rejects(runStep(step, options), { message: "cancelled" });
});

/** Whether a process runs; a dead one that nobody has asked for does not. */
function isRunning(id: number): boolean {
  try {
    process.kill(id, 0);
  } catch {
    return false;
  }
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${id}/status`, "utf8"));
  } catch {
    return !existsSync("/proc/self");
  }
}
