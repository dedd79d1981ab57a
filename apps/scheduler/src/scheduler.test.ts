import { afterAll, beforeAll, expect, test } from "vitest";
import { contribute, LINK, openWorld, reveal, upload, type World } from "./test/world.ts";

let world: World;
beforeAll(async () => {
  world = await openWorld();
});
afterAll(async () => {
  await world.close();
});

test("a deal of trust 1 goes from the market to COMPLETED", async () => {
  const scheduler = await world.scheduler();
  const worker = await world.worker(10, scheduler);
  const { taskIds } = await world.buy(1n);
  const taskId = await contribute(world, worker);
  expect(taskIds).toContain(taskId);
  await world.until(scheduler, taskId, "consensus", ({ status }) => status === "CONSENSUS_REACHED");
  await reveal(world, worker, taskId);
  await world.until(scheduler, taskId, "upload request", ({ replicates }) => replicates[0]?.status === "RESULT_UPLOAD_REQUESTED");
  await upload(world, worker, taskId);
  const done = await world.until(scheduler, taskId, "completed", ({ status }) => status === "COMPLETED");
  expect(done.chain?.status).toBe("COMPLETED");
  expect(done.resultLink).toBe(LINK);
  expect((await worker.report(taskId, "COMPLETED")).kind).toBe("stored");
  await world.until(scheduler, taskId, "closed", ({ closed }) => closed);
  await scheduler.close();
});
