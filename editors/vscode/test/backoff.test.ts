import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff, MOST_ENDS, MOST_FAILED_STARTS, WINDOW_MS } from "../src/backoff";

test("a server that was ready is started again at growing distances, and given up in the end", () => {
  let now = 0;
  const backoff = new Backoff(() => now);
  backoff.ready();
  const delays = [];
  for (let end = 0; end < MOST_ENDS; end++) {
    now += 1000;
    delays.push(backoff.ended());
  }
  assert.equal(delays.at(-1), undefined);
  const waits = delays.slice(0, -1).map(Number);
  assert.deepEqual(waits, [...waits].sort((one, other) => one - other));
  assert.ok((waits[0] ?? Infinity) < 1000);
});

test("a server that goes down now and then is started for ever", () => {
  let now = 0;
  const backoff = new Backoff(() => now);
  backoff.ready();
  for (let end = 0; end < 3 * MOST_ENDS; end++) {
    now += WINDOW_MS;
    assert.equal(backoff.ended(), 250);
  }
});

test("a server that never was ready is given up soon", () => {
  const backoff = new Backoff(() => 0);
  for (let attempt = 1; attempt < MOST_FAILED_STARTS; attempt++) assert.notEqual(backoff.ended(), undefined);
  assert.equal(backoff.ended(), undefined);
});

test("a restart that somebody asked for begins anew", () => {
  const backoff = new Backoff(() => 0);
  backoff.ready();
  for (let end = 0; end < MOST_ENDS; end++) backoff.ended();
  backoff.forget();
  assert.equal(backoff.ended(), 250);
});
