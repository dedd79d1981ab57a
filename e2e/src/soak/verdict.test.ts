import { expect, test } from "vitest";
import { type Findings, idleIn, reasonsAgainst, stakeLostIn, stallsIn } from "./verdict.ts";

const WELL: Findings = {
  kill: false,
  completed: 9,
  stuck: 0,
  leftovers: [],
  crashes: [],
  hungStops: [],
  reopened: [],
  idleWorkers: [],
  openReplicates: [],
  errors: { worker: { "WRK-1201": 4 }, scheduler: {} },
};

const ALWAYS: readonly Partial<Findings>[] = [
  { completed: 0 },
  { stuck: 1 },
  { leftovers: ["file x"] },
  { crashes: ["worker-1 ended by itself with 1"] },
  { hungStops: ["worker-1 took a SIGKILL"] },
  { idleWorkers: ["worker-2"] },
  { openReplicates: ["worker-1 0x1 CONTRIBUTED"] },
];
const WITHOUT_KILLS: readonly Partial<Findings>[] = [
  { reopened: ["0x1"] },
  { errors: { worker: { "WRK-1316": 1 } } },
  { errors: { worker: { "SVC-1501": 1 } } },
  { errors: { "result-proxy": { "SVC-1502": 1 } } },
  { errors: { scheduler: { "SCH-1403": 2 } } },
];

test("a run without any fault is ok, whatever other errors were counted", () => {
  expect(reasonsAgainst(WELL)).toEqual([]);
});

test.each(ALWAYS)("is never ok with %o", (fault) => {
  for (const kill of [false, true]) expect(reasonsAgainst({ ...WELL, ...fault, kill })).toHaveLength(1);
});

test.each(WITHOUT_KILLS)("is ok with %o only where processes were killed", (fault) => {
  expect(reasonsAgainst({ ...WELL, ...fault })).toHaveLength(1);
  expect(reasonsAgainst({ ...WELL, ...fault, kill: true })).toEqual([]);
});

test("lost stakes and stalls are sums over all programs", () => {
  const errors = {
    worker: { "WRK-1316": 2, "SVC-1501": 1 },
    scheduler: { "SVC-1501": 3, "SCH-1403": 1 },
    "result-proxy": { "SVC-1502": 1 },
  };
  expect(stakeLostIn(errors)).toBe(2);
  expect(stallsIn(errors)).toBe(6);
});

test("a worker without a contribution in the last third is idle, in a run of five minutes or more", () => {
  const workers = [
    { name: "early", address: `0x${"a".repeat(40)}` },
    { name: "late", address: `0x${"B".repeat(40)}` },
    { name: "never", address: `0x${"c".repeat(40)}` },
  ] as const;
  const last = new Map([
    [`0x${"a".repeat(40)}`, 1_199_000],
    [`0x${"b".repeat(40)}`, 1_200_000],
  ]);
  expect(idleIn({ beganMs: 1_000_000, endedMs: 1_300_000 }, workers, last)).toEqual(["early", "never"]);
  expect(idleIn({ beganMs: 1_000_000, endedMs: 1_299_999 }, workers, last)).toEqual([]);
});
