import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type RecordedStatus, replayHistory } from "./replay.ts";
import { canFollow, REPLICATE_STATUSES, type ReplicateStatus, statusRow } from "./status.ts";

const by = (setBy: "worker" | "scheduler") => (status: ReplicateStatus) => ({ status, setBy, late: false });
const worker = by("worker");
const scheduler = by("scheduler");
const late = (status: ReplicateStatus): RecordedStatus => ({ status, setBy: "worker", late: true });

describe("a worker's own history", () => {
  test("ends in its last status", () => {
    expect(replayHistory([scheduler("CREATED"), worker("RUNNING"), worker("RECOVERING")], "worker")).toEqual({
      legal: true,
      status: "RECOVERING",
      progress: "RUNNING",
    });
  });

  test("every walk through the table is legal and ends where it ends", () => {
    const walk = fc.array(fc.nat(), { maxLength: 40 }).map((choices) => {
      const path: ReplicateStatus[] = ["CREATED"];
      for (const choice of choices) {
        const { next } = statusRow(path.at(-1) ?? "CREATED");
        const step = next[choice % Math.max(next.length, 1)];
        if (step !== undefined) path.push(step);
      }
      return path;
    });
    fc.assert(
      fc.property(walk, (path) => {
        expect(replayHistory(path.map(worker), "worker")).toMatchObject({ status: path.at(-1) });
      }),
    );
  });

  test("a step outside of the table is named", () => {
    const any = fc.constantFrom(...REPLICATE_STATUSES);
    fc.assert(
      fc.property(any, (to) => {
        const legal = canFollow("CREATED", to);
        expect(replayHistory([scheduler("CREATED"), worker(to)], "worker")).toMatchObject(
          legal ? { status: to } : { index: 1, from: "CREATED", to },
        );
      }),
    );
  });

  test("no history is not legal, nor one that does not begin with CREATED", () => {
    expect(replayHistory([], "worker").legal).toBe(false);
    expect(replayHistory([worker("RUNNING")], "worker")).toEqual({ legal: false, index: 0, from: undefined, to: "RUNNING" });
  });
});

describe("a workerpool's history", () => {
  const begun = [scheduler("CREATED"), worker("RUNNING")];

  test("what is proven on chain needs no steps before it", () => {
    expect(replayHistory([...begun, scheduler("CONTRIBUTED")], "workerpool")).toMatchObject({ status: "CONTRIBUTED" });
    expect(replayHistory([...begun, scheduler("CONTRIBUTED")], "worker")).toMatchObject({ legal: false, index: 2 });
  });

  test("a late status continues the worker's line and leaves the state alone", () => {
    const history = [...begun, scheduler("WORKER_LOST"), scheduler("FAILED"), late("APP_DOWNLOADING"), late("APP_DOWNLOADED")];
    expect(replayHistory(history, "workerpool")).toEqual({ legal: true, status: "FAILED", progress: "FAILED" });
    expect(replayHistory([...history, late("COMPUTED")], "workerpool")).toMatchObject({ legal: false, from: "APP_DOWNLOADED" });
  });

  test("a worker cannot set what belongs to the scheduler", () => {
    expect(replayHistory([...begun, worker("WORKER_LOST")], "workerpool")).toMatchObject({ legal: false, index: 2 });
  });
});
