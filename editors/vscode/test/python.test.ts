import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { candidates, findPython, judge, probeIn, readFacts, type Facts } from "../src/python";
import { folder, program } from "./folders";

const facts = (changes: Partial<Facts> = {}): Facts => ({
  major: 3,
  minor: 12,
  executable: "/usr/bin/python3.12",
  hasVenv: true,
  is64Bit: true,
  ...changes,
});

test("newer Pythons are tried first, and Windows' launcher before them", () => {
  assert.deepEqual(
    candidates("", "linux").map((one) => one.program),
    ["python3.13", "python3.12", "python3.11", "python3", "python"],
  );
  assert.deepEqual(candidates("", "win32")[0], { program: "py", arguments: ["-3.13"] });
  assert.deepEqual(candidates(" /opt/python ", "linux"), [{ program: "/opt/python", arguments: [] }]);
});

test("only 3.11 to 3.13 with venv, in 64 bits, fit; the others are told with the reason", () => {
  assert.deepEqual(judge(facts()), { fits: true });
  for (const [changes, why] of [
    [{ minor: 10 }, "is Python 3.10"],
    [{ minor: 14 }, "is Python 3.14"],
    [{ major: 2, minor: 7 }, "is Python 2.7"],
    [{ hasVenv: false }, "apt install python3-venv"],
    [{ is64Bit: false }, "32-bit"],
  ] as const) {
    const verdict = judge(facts(changes));
    assert.ok(!verdict.fits && verdict.why.includes(why), why);
  }
});

test("the first that fits is taken, past older and broken ones", async () => {
  const path = folder();
  for (const name of ["python3.13", "python3.12", "python3"]) program(join(path, name));
  const answers: Record<string, Facts | undefined> = {
    "python3.13": undefined,
    "python3.12": facts({ hasVenv: false }),
    python3: facts({ minor: 11 }),
  };
  const found = await findPython("", { path, platform: "linux", forbidden: [] }, (candidate) =>
    Promise.resolve(answers[candidate.program.slice(path.length + 1)]),
  );
  assert.equal(found.program, join(path, "python3"));
  assert.equal(found.facts.minor, 11);
});

test("where nothing fits one line says what is needed and what was found", async () => {
  const path = folder();
  program(join(path, "python3"));
  program(join(path, "python"));
  const places = { path, platform: "linux", forbidden: [] } as const;
  const old = () => Promise.resolve(facts({ minor: 9, executable: "/usr/bin/python3" }));
  await assert.rejects(findPython("", places, old), {
    message: "The server needs Python 3.11 to 3.13. Found: /usr/bin/python3 is Python 3.9.",
  });
  await assert.rejects(findPython("", { ...places, path: "" }, old), { message: /None was found/ });
  await assert.rejects(findPython("/opt/none", places, old), { message: /aix\.install\.python names \/opt\/none/ });
});

test("a Python in the workspace is not asked, and where there is no other that is said", async () => {
  const path = folder();
  program(join(path, "python3.12"));
  const places = { path, platform: "linux", forbidden: [path] } as const;
  const asked: string[] = [];
  const probe = (candidate: { program: string }) => {
    asked.push(candidate.program);
    return Promise.resolve(undefined);
  };
  await assert.rejects(findPython("", places, probe), { message: /python3\.12, which lies in the workspace/ });
  assert.deepEqual(asked, []);
});

test("a real Python tells what it is, and a program that is none tells nothing", async (context) => {
  const place = folder();
  const broken = program(join(place, "broken"), "#!/bin/sh\necho hello\n");
  assert.equal(await probeIn(place, process.env)({ program: broken, arguments: [] }), undefined);
  const real = await probeIn(place, process.env)({ program: "python3", arguments: [] });
  if (real === undefined) {
    context.skip("there is no python3 here");
    return;
  }
  assert.equal(real.major, 3);
  assert.ok(real.is64Bit);
});

test("what is printed besides the answer does no harm", () => {
  assert.equal(readFacts(`warning\n${JSON.stringify(facts())}\n`)?.minor, 12);
  assert.equal(readFacts(""), undefined);
  assert.equal(readFacts("{}"), undefined);
});
