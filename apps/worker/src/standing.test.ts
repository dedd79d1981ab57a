import { REPLICATE_STATUSES, type ReplicateStatus } from "@iexec-ts/poco";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loopWords } from "./loop-words.ts";
import { TASK, World } from "./replicate/test/world.ts";
import { stuckTasks } from "./standing.ts";

const MINUTE_MS = 60_000;
let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world.close());

const at = (status: ReplicateStatus, minutes: number, more: { readonly computeDeadline?: Date } = {}) => {
  const now = new Date(minutes * MINUTE_MS);
  const replicate = { ...world.journal.get(TASK), status, updatedAt: new Date(0), ...more };
  return stuckTasks([replicate], () => undefined, world.ports().policy, now).map(({ status: stands }) => stands);
};

describe("a task that stands", () => {
  test.each([
    ["RUNNING", 9, 11],
    ["APP_DOWNLOADING", 39, 41],
    ["CONTRIBUTING", 14, 16],
    ["REVEALING", 14, 16],
    ["RESULT_UPLOADING", 29, 31],
    // What others have to do may last until the final deadline of the task, 50 minutes after the epoch.
    ["CONTRIBUTED", 64, 66],
    ["COMPLETED", 19, 21],
  ] as const)("%s: nothing is said after %i minutes, it is after %i", (status, before, after) => {
    expect(at(status, before)).toEqual([]);
    expect(at(status, after)).toEqual([status]);
  });

  test("an app may compute until its deadline", () => {
    const computeDeadline = new Date(600 * MINUTE_MS);
    expect(at("COMPUTING", 615, { computeDeadline })).toEqual([]);
    expect(at("COMPUTING", 625, { computeDeadline })).toEqual(["COMPUTING"]);
  });

  test("every status is left or told in the end", () => {
    for (const status of REPLICATE_STATUSES) expect(at(status, 60 * 24 * 365), status).toEqual([status]);
  });

  test("it is told with what is known of its reason", () => {
    const one = { ...world.journal.get(TASK), updatedAt: new Date(0) };
    const said = (activity: Parameters<typeof stuckTasks>[1]) =>
      stuckTasks([one], activity, world.ports().policy, new Date(60 * MINUTE_MS))[0]?.because;
    expect(said(() => undefined)).toBe("nothing is being done for it");
    expect(said(() => ({ stage: undefined, because: "no node answers", since: new Date(0) }))).toBe("no node answers");
    expect(said(() => ({ stage: "COMPUTE", because: undefined, since: new Date(0) }))).toBe("its stage COMPUTE does not end");
  });
});

test("loops are named in words", () => {
  expect(loopWords({ loop: "replicate", of: "0x12" })).toBe("the work on task 0x12");
  expect(loopWords({ loop: "demand" })).toBe("asking for tasks");
  expect(loopWords({ loop: "push link", of: "http://pool" })).toBe("hearing its scheduler (http://pool)");
  expect(loopWords({ loop: "something new" })).toBe('its part "something new"');
});
