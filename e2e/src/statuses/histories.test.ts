import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPLICATE_STATUSES } from "@iexec-ts/poco";
import { describe, expect, test } from "vitest";
import { faultsOf, type RecordedHistory, readHistories, writeHistories } from "./histories.ts";

const KEPT = join(import.meta.dirname, "../../../fixtures/histories");

const versions = await readdir(KEPT);

describe.each(versions)("histories of %s", async (version) => {
  const files = await readdir(join(KEPT, version));
  const histories = (await Promise.all(files.map((file) => readHistories(join(KEPT, version, file))))).flat();

  test("give the same states, on both sides", () => {
    expect(histories.length).toBeGreaterThan(0);
    expect(faultsOf(histories)).toEqual([]);
  });
});

test("the histories of 0.1.0 show every status", async () => {
  const folder = join(KEPT, "v0.1.0");
  const histories = (await Promise.all((await readdir(folder)).map((file) => readHistories(join(folder, file))))).flat();
  const shown = new Set(
    histories.filter(({ side }) => side === "workerpool").flatMap(({ history }) => history.map(({ status }) => status)),
  );
  expect(REPLICATE_STATUSES.filter((status) => !shown.has(status))).toEqual([]);
});

const SAMPLE: readonly RecordedHistory[] = (["worker", "workerpool"] as const).map((side) => ({
  tale: "sample",
  side,
  taskId: "0x01",
  wallet: "0x02",
  status: "RUNNING",
  ...(side === "worker" ? { progress: "RUNNING" as const } : {}),
  history: [
    { status: "CREATED", cause: null, setBy: "scheduler", late: false, seq: side === "worker" ? 0 : null },
    { status: "RUNNING", cause: null, setBy: "worker", late: false, seq: 1 },
  ],
}));

test("what is written is read again", async () => {
  const folder = await mkdtemp(join(tmpdir(), "histories-"));
  try {
    await writeHistories(join(folder, "new", "a.jsonl"), SAMPLE);
    expect(await readHistories(join(folder, "new", "a.jsonl"))).toEqual(SAMPLE);
  } finally {
    await rm(folder, { recursive: true });
  }
});

describe("a fault is", () => {
  const [worker, pool] = SAMPLE;
  if (worker === undefined || pool === undefined) throw new Error("no sample");

  test.each([
    ["another state than the recorded one", [{ ...worker, status: "CREATED" as const }]],
    ["another progress", [{ ...worker, progress: "CREATED" as const }]],
    ["a step that the table does not allow", [{ ...worker, history: worker.history.slice(1) }]],
    ["a status that the journal has not at that place", [worker, { ...pool, history: pool.history.map((step) => ({ ...step, seq: 0 })) }]],
    ["an end that the workerpool never heard of", [worker, { ...pool, status: "CREATED" as const, history: pool.history.slice(0, 1) }]],
  ])("%s", (_, histories) => {
    expect(faultsOf(SAMPLE)).toEqual([]);
    expect(faultsOf(histories)).toHaveLength(1);
  });
});
