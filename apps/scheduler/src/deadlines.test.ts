import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { contribute, type Ground, openGround, openWorld, reveal, upload, type View, type World } from "./test/world.ts";

const PERIOD = 300;
let ground: Ground;
let world: World;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(async () => {
  await ground.close();
});
beforeEach(async () => {
  world = await openWorld(ground);
});
afterEach(async () => {
  await world.close();
});

const statusOf = (view: View, wallet: string): string | undefined =>
  view.replicates.find((replicate) => replicate.wallet === wallet)?.status;

test("a consensus nobody reveals is reopened, and another worker finishes the task", async () => {
  const scheduler = await world.scheduler();
  const [first, second] = [await world.worker(10, scheduler), await world.worker(11, scheduler)];
  await world.buy(1n);
  const taskId = await contribute(world, first);
  await world.until(scheduler, taskId, "consensus", ({ status }) => status === "CONSENSUS_REACHED");
  await world.chain.increaseTime(2 * PERIOD + 1);
  const reopened = await world.until(scheduler, taskId, "reopened", ({ chain }) => chain?.status === "ACTIVE");
  expect(statusOf(reopened, first.wallet)).toBe("REVEAL_TIMEOUT");
  expect(await contribute(world, second)).toBe(taskId);
  await world.until(scheduler, taskId, "second consensus", ({ status }) => status === "CONSENSUS_REACHED");
  await reveal(world, second, taskId);
  await world.until(scheduler, taskId, "upload request", (view) => statusOf(view, second.wallet) === "RESULT_UPLOAD_REQUESTED");
  await upload(world, second, taskId);
  const done = await world.until(scheduler, taskId, "completed", ({ status }) => status === "COMPLETED");
  expect(done.transactions.map(({ kind }) => kind)).toEqual(["initialize", "reopen", "finalize"]);
  expect(done.history.map(({ status }) => status)).toContain("REOPENED");
});

test("a task nobody contributes to fails at the contribution deadline and is claimed at the final one", async () => {
  const scheduler = await world.scheduler();
  const worker = await world.worker(10, scheduler);
  await world.buy(1n);
  const { chainTaskId: taskId } = await worker.work();
  await worker.report(taskId, "RUNNING");
  await world.chain.increaseTime(7 * PERIOD + 1);
  const failed = await world.until(scheduler, taskId, "failed", ({ status }) => status === "FAILED");
  expect(failed.failure).toBe("CONTRIBUTION_TIMEOUT");
  expect((await worker.report(taskId, "ABORTED_ON_CONTRIBUTION_TIMEOUT")).kind).toBe("stored");
  expect(await worker.demand(0)).toBeUndefined();
  await world.chain.increaseTime(3 * PERIOD + 1);
  const claimed = await world.until(scheduler, taskId, "claimed", ({ chain, closed }) => chain?.status === "FAILED" && closed);
  expect(claimed.transactions.map(({ kind, outcome }) => [kind, outcome])).toEqual([
    ["initialize", "mined"],
    ["claim", "mined"],
  ]);
});

test("one reveal is enough when the reveal deadline has passed", async () => {
  const scheduler = await world.scheduler();
  const workers = [await world.worker(10, scheduler), await world.worker(11, scheduler)] as const;
  await world.buy(3n);
  const taskId = await contribute(world, workers[0]);
  await contribute(world, workers[1]);
  await world.until(scheduler, taskId, "consensus", ({ status }) => status === "CONSENSUS_REACHED");
  await reveal(world, workers[0], taskId);
  await world.until(scheduler, taskId, "upload request", (view) => statusOf(view, workers[0].wallet) === "RESULT_UPLOAD_REQUESTED");
  await upload(world, workers[0], taskId);
  expect((await world.view(scheduler, taskId)).chain?.status).toBe("REVEALING");
  await world.chain.increaseTime(2 * PERIOD + 1);
  const done = await world.until(scheduler, taskId, "completed", ({ status }) => status === "COMPLETED");
  expect(statusOf(done, workers[1].wallet)).toBe("REVEAL_TIMEOUT");
});

test("deals that cannot be served are recorded with the reason and get no tasks", async () => {
  const { dealId } = await world.buy(1n);
  const tee = await world.buy(5n, { tag: `0x${"9".padStart(64, "0")}` }).catch(() => undefined);
  expect(tee).toBeUndefined();
  await world.chain.increaseTime(7 * PERIOD + 1);
  const scheduler = await world.scheduler();
  const worker = await world.worker(10, scheduler);
  const { dealId: fresh } = await world.buy(1n, { volume: 3n });
  expect((await worker.work()).dealId).toBe(fresh);
  const listed: unknown = await (await fetch(`${scheduler.url}/v1/deals`)).json();
  expect(listed).toMatchObject({
    deals: [
      { dealId: fresh, state: "accepted", botSize: "3" },
      { dealId, state: "skipped", skipReason: "EXPIRED" },
    ],
  });
});
