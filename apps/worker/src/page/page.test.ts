import type { TxRecord } from "@iexec-ts/chain";
import { wei } from "@iexec-ts/poco";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { asset } from "./assets.ts";
import { ComputeDurations } from "./durations.ts";
import { answersTo } from "./headers.ts";
import { gasDaysLeft } from "./worker-metrics.ts";

const DAY_MS = 86_400_000;
const NOW = new Date("2026-01-10T00:00:00Z");
const paid = (gasPaid: bigint, daysAgo: number): TxRecord => ({
  intent: { id: "reveal:0x1", to: "0x", data: "0x", gasFloor: 0n },
  state: "final",
  nonce: 0,
  gas: 1n,
  attempts: [],
  minedHash: undefined,
  minedBlock: undefined,
  gasPaid: wei(gasPaid),
  settled: true,
  createdAt: NOW,
  updatedAt: new Date(NOW.getTime() - daysAgo * DAY_MS),
  note: undefined,
});

describe("host names", () => {
  test.each([
    ["127.0.0.1:13100", true],
    ["localhost:13100", true],
    ["LOCALHOST", true],
    ["worker.localhost:1", true],
    ["[::1]:13100", true],
    ["192.0.2.7:80", true],
    [undefined, true],
    ["evil.example", false],
    ["localhost.evil.example:13100", false],
    ["127.0.0.1.evil.example", false],
  ])("on loopback %s is answered: %s", (host, answered) => {
    expect(answersTo(host, "127.0.0.1")).toBe(answered);
  });

  test("a page that the operator opened to others answers to any name", () => {
    expect(answersTo("worker.example", "0.0.0.0")).toBe(true);
  });
});

describe("files of the page", () => {
  test("the browser's program is JavaScript, with its imports where the browser finds them", () => {
    const program = asset("page/client/main.ts");
    expect(program?.type).toContain("javascript");
    for (const [, path = ""] of (program?.body ?? "").matchAll(/from "([^"]+)"/g)) {
      const found = new URL(path, "http://page/page/client/main.ts").pathname.slice(1);
      // What imports types alone leaves nothing behind.
      if (!found.endsWith("model.ts")) expect(asset(found), found).toBeDefined();
    }
  });

  test("nothing else is served, whatever is asked for", () => {
    for (const path of ["config.ts", "page/routes.ts", "../package.json", "page/../config.ts", ""]) expect(asset(path)).toBeUndefined();
    fc.assert(fc.property(fc.string(), (path) => asset(`${path}/config.ts`) === undefined));
  });
});

describe("gas left", () => {
  test("without spending it lasts for ever", () => {
    expect(gasDaysLeft(5n, [], NOW)).toBe(Number.POSITIVE_INFINITY);
    expect(gasDaysLeft(5n, [paid(1n, 8)], NOW)).toBe(Number.POSITIVE_INFINITY);
  });

  test("it lasts as long as the pace of the last week says", () => {
    expect(gasDaysLeft(10n ** 18n, [paid(10n ** 17n, 4), paid(10n ** 17n, 2)], NOW)).toBeCloseTo(20);
    expect(gasDaysLeft(10n ** 18n, [paid(10n ** 17n, 0.01)], NOW)).toBeCloseTo(10);
  });
});

test("durations have the Java worker's shape; without samples NaN, as text", () => {
  const durations = new ComputeDurations();
  const empty = { durationSamplesCount: 0, minDuration: "NaN", maxDuration: "NaN", averageDuration: "NaN" };
  expect(durations.javaMetrics().appComputeDurations).toEqual(empty);
  const note = (taskId: string, status: "COMPUTING" | "COMPUTED" | "FAILED", ms: number) =>
    durations.note({ taskId, status, at: new Date(ms) });
  note("a", "COMPUTING", 0);
  expect(note("a", "COMPUTED", 1_000)).toBe(1);
  note("b", "COMPUTING", 0);
  expect(note("b", "FAILED", 1_000)).toBeUndefined();
  expect(note("c", "COMPUTED", 9_000)).toBeUndefined();
  note("d", "COMPUTING", 0);
  note("d", "COMPUTED", 3_000);
  const app = { durationSamplesCount: 2, minDuration: 1_000, maxDuration: 3_000, averageDuration: 2_000 };
  expect(durations.javaMetrics()).toEqual({
    preComputeDurations: empty,
    appComputeDurations: app,
    postComputeDurations: empty,
    completeComputeDurations: app,
  });
});
