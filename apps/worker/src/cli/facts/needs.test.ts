import { expect, test } from "vitest";
import { standingNeeds } from "./needs.ts";

const NOW = new Date("2026-01-10T12:00:00Z");
const ago = (minutes: number) => new Date(NOW.getTime() - minutes * 60_000);
const TASK = `0x${"1".repeat(64)}`;

test("nothing stands: nobody is needed", () => {
  expect(standingNeeds({ stalls: [], stuck: [] }, NOW)).toEqual([]);
  expect(standingNeeds(undefined, NOW)).toEqual([]);
});

test("what stands still is told with its time, its restarts and what to do; what moves again only warns", () => {
  const needs = standingNeeds(
    {
      stalls: [
        { loop: "demand", of: undefined, since: ago(9), restarts: 2, mendedAt: undefined },
        { loop: "replicate", of: TASK, since: ago(30), restarts: 1, mendedAt: ago(26) },
      ],
      stuck: [],
    },
    NOW,
  );
  expect(needs.map(({ level, command }) => [level, command])).toEqual([
    ["bad", "iexec-worker stop"],
    ["warn", "iexec-worker support bundle"],
  ]);
  expect(needs[0]?.text).toContain("asking for tasks has stood still for 9m; it was started again 2 times");
  expect(needs[1]?.text).toContain(`the work on task ${TASK} stood still 30m ago and was started again once; it goes on by itself`);
});

test("a task without progress is told with its reason, once, whichever way it is known", () => {
  const stuck = [{ taskId: TASK, status: "CONTRIBUTING", since: ago(20), because: "gas is dearer than the cap" }];
  expect(standingNeeds({ stalls: [], stuck }, NOW)).toEqual([
    {
      level: "bad",
      text: `task ${TASK} stands in CONTRIBUTING for 20m: gas is dearer than the cap`,
      command: `iexec-worker task show ${TASK}`,
    },
  ]);
  const stalls = [{ loop: "replicate", of: TASK, since: ago(20), restarts: 3, mendedAt: undefined }];
  expect(standingNeeds({ stalls, stuck }, NOW)).toHaveLength(1);
});
