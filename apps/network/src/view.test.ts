import { expect, test } from "vitest";
import { renderTasks, type TaskLines } from "./view.ts";

const at = (seconds: number) => new Date(1_700_000_000_000 + seconds * 1_000);
const task = (n: number, replicates: TaskLines["replicates"]): TaskLines => ({
  taskId: `0x${String(n).padStart(64, "0")}`,
  chain: "ACTIVE",
  replicates,
});

test("one line per replicate with its status and age, a mark that does not rely on colour", () => {
  const text = renderTasks(
    [
      task(1, [
        { worker: "worker-1", status: "COMPUTING", since: at(0) },
        { worker: "worker-2", status: "COMPLETED", since: at(2) },
        { worker: "worker-3", status: "CANT_REVEAL", since: at(1) },
      ]),
    ],
    at(3),
  );
  expect(text.split("\n").map((line) => line.trim().replace(/\s+/g, " "))).toEqual([
    "task 0x000000…0001 chain: ACTIVE",
    "· worker-1 COMPUTING 3.0 s",
    "✔ worker-2 COMPLETED 1.0 s",
    "✖ worker-3 CANT_REVEAL 2.0 s",
  ]);
});

test("many tasks do not scroll the screen away", () => {
  const text = renderTasks(
    Array.from({ length: 20 }, (_, n) => task(n, [])),
    at(0),
    12,
  );
  expect(text.split("\n")).toHaveLength(13);
  expect(text).toMatch(/and 8 more tasks$/);
});
