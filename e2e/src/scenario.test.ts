import { expect, test } from "vitest";
import { runSet, type ScenarioSet } from "./scenario.ts";
import { waitingFor } from "./waiting.ts";

const say = () => undefined;
const signal = AbortSignal.timeout(60_000);

function set(
  scenarios: ScenarioSet<number>["scenarios"],
  open?: ScenarioSet<number>["open"],
): { set: ScenarioSet<number>; closed: () => number } {
  let closed = 0;
  return {
    closed: () => closed,
    set: {
      name: "sample",
      summary: "",
      scenarios,
      open:
        open ??
        (async () => ({
          context: 7,
          close: async () => {
            closed += 1;
          },
        })),
    },
  };
}

test("a scenario that throws is not ok, the next still runs, and the network is closed", async () => {
  const { set: sample, closed } = set([
    { id: "a", run: async () => Promise.reject(new Error("lost")) },
    { id: "b", run: async (context) => `saw ${context}` },
  ]);
  const report = await runSet(sample, { short: false, say, signal });
  expect(report).toMatchObject({ passed: 1, total: 2 });
  expect(report.cases).toEqual([
    { id: "a", ok: false, detail: "lost" },
    { id: "b", ok: true, detail: "saw 7" },
  ]);
  expect(closed()).toBe(1);
});

test("a scenario that never ends is cut off and not ok", async () => {
  const { set: sample } = set([{ id: "a", timeoutMs: 20, run: () => new Promise(() => undefined) }]);
  expect((await runSet(sample, { short: false, say, signal })).cases[0]).toMatchObject({ ok: false });
});

test("when the network does not start, every scenario counts as not ok", async () => {
  const { set: sample } = set(
    [
      { id: "a", run: async () => "" },
      { id: "b", run: async () => "" },
    ],
    async () => Promise.reject(new Error("no Docker")),
  );
  expect(await runSet(sample, { short: false, say, signal })).toMatchObject({ passed: 0, total: 2 });
});

test("the short form runs what is marked short, and opens nothing when that is nothing", async () => {
  const scenarios = [
    { id: "a", run: async () => "" },
    { id: "b", short: true, run: async () => "" },
  ];
  const { set: sample } = set(scenarios);
  expect((await runSet(sample, { short: true, say, signal })).cases.map((c) => c.id)).toEqual(["b"]);
  const { set: long, closed } = set([{ id: "a", run: async () => "" }]);
  expect(await runSet(long, { short: true, say, signal })).toMatchObject({ total: 0 });
  expect(closed()).toBe(0);
});

test("a scenario that is cut off says what it waited for", async () => {
  const { set: sample } = set([
    { id: "a", timeoutMs: 20, run: () => waitingFor("the second coming", () => new Promise<string>(() => undefined)) },
  ]);
  expect((await runSet(sample, { short: false, say, signal })).cases[0]?.detail).toMatch("the second coming");
});

test("an opening that hangs ends at its limit, and its scenarios count as not ok", async () => {
  const { set: sample } = set([{ id: "a", run: async () => "" }], () => waitingFor("the chain", () => new Promise(() => undefined)));
  const report = await runSet({ ...sample, openMs: 20 }, { short: false, say, signal });
  expect(report).toMatchObject({ passed: 0, total: 1 });
  expect(report.cases[0]?.detail).toMatch(/opening the set.*the chain/);
});

test("a closing that hangs ends at its limit, and the set is not as promised", async () => {
  const { set: sample } = set([{ id: "a", run: async () => "" }], async () => ({
    context: 7,
    close: () => waitingFor("the last worker", () => new Promise(() => undefined)),
  }));
  const report = await runSet({ ...sample, closeMs: 20 }, { short: false, say, signal });
  expect(report).toMatchObject({ passed: 1, total: 2 });
  expect(report.cases[1]).toMatchObject({ id: "close", ok: false });
  expect(report.cases[1]?.detail).toMatch(/closing the set.*the last worker/);
});

test("after a signal nothing more is tried, and what was opened is closed", async () => {
  const stop = new AbortController();
  let tried = 0;
  const { set: sample, closed } = set([
    {
      id: "a",
      run: () => {
        stop.abort(new Error("SIGINT"));
        return new Promise(() => undefined);
      },
    },
    {
      id: "b",
      run: async () => {
        tried += 1;
        return "";
      },
    },
  ]);
  const report = await runSet(sample, { short: false, say, signal: stop.signal });
  expect(report).toMatchObject({ passed: 0, total: 2 });
  expect(tried).toBe(0);
  expect(closed()).toBe(1);
});
