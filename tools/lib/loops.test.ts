import { expect, test } from "vitest";
import { silentLoops } from "./loops.ts";

const faults = (body: string): readonly number[] => silentLoops("x.ts", `async function x() {\n${body}\n}`).map(({ line }) => line);

test.each([
  "for (;;) await work();",
  "while (true) { await work(); }",
  "while (!signal.aborted) { await clock.sleep(5, signal); }",
  "while (!this.#closed) await this.#wake.wait();",
  "do { await ping(); } while (await pause(clock, 5, signal));",
  "for (;;) { const beat = () => pulse.beat(); await work(); }",
  "for (let n = 0; !signal.aborted; n += 1) await work(n);",
])("an endless loop that only waits is found: %s", (body) => {
  expect(faults(body)).toEqual([2]);
});

test.each([
  "for (;;) { pulse.beat(); await work(); }",
  "while (!pulse.signal.aborted) { await work(); if (done) pulse.beat(60_000); }",
  "for (let n = 0; n < 3; n += 1) await work(n);",
  "for (const one of all) await work(one);",
  "while (!signal.aborted) count += 1;",
  "while (queue.length > 0) await work(queue.shift());",
  "  // Bounded: gives up after three attempts, each of which has a time limit.\n  for (;;) await work();",
  "for (;;) { const later = async () => { await work(); }; keep(later); }",
])("what beats, ends or is explained is not: %s", (body) => {
  expect(faults(body)).toEqual([]);
});

test.each([
  "using limit = openScope([signal], { ms: 5 });\nreturn ask(limit.signal);",
  "using limit = openScope([signal]);\nif (far) { return orAborted(ask(), limit.signal); }\nreturn 5;",
])("a call that outlives its scope is found: %s", (body) => {
  expect(faults(body)).toEqual([3]);
});

test.each([
  "using limit = openScope([signal]);\nreturn await ask(limit.signal);",
  "using limit = openScope([signal]);\nreturn ask();",
  "using limit = openScope([signal]);\nreturn limit.signal.aborted;",
  "{ using limit = openScope([signal]); await ask(limit.signal); }\nreturn ask(signal);",
])("what ends inside its scope is not: %s", (body) => {
  expect(faults(body)).toEqual([]);
});
