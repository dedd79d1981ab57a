import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { digestOf } from "./test/hand-worker.ts";
import { contribute, type Ground, openGround, openWorld, reveal, upload, type View, type World } from "./test/world.ts";

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

test("two schedulers on one Postgres are one pool, also when the leading one goes", async () => {
  const first = await world.scheduler();
  const second = await world.scheduler();
  const [a, b, c] = [await world.worker(10, first), await world.worker(11, second), await world.worker(12, second)];
  const asked = [a, b, c].map((worker) => worker.work());
  await world.buy(5n);
  const authorizations = await Promise.all(asked);
  const taskId = authorizations[0]?.chainTaskId ?? "0x";
  expect(new Set(authorizations.map(({ chainTaskId }) => chainTaskId))).toEqual(new Set([taskId]));
  await a.compute(taskId);
  await first.close();
  // The login of one process holds in the other.
  a.moveTo(second.url);
  expect(await a.ping()).toBe(200);
  for (const [index, worker] of [a, b, c].entries()) {
    const authorization = authorizations[index];
    if (authorization === undefined) throw new Error("an authorization each");
    if (worker !== a) await worker.compute(taskId);
    const receipt = await world.chain.contribute(worker.account, authorization, digestOf(42));
    await worker.report(taskId, "CONTRIBUTED", {
      details: { chainReceipt: { blockNumber: receipt.blockNumber, txHash: receipt.transactionHash } },
    });
  }
  await world.until(second, taskId, "consensus", ({ status }) => status === "CONSENSUS_REACHED");
  for (const worker of [a, b, c]) await reveal(world, worker, taskId);
  const view = await world.until(second, taskId, "upload request", ({ replicates }) =>
    replicates.some(({ status }) => status === "RESULT_UPLOAD_REQUESTED"),
  );
  const uploader = [a, b, c].find(({ wallet }) => statusOf(view, wallet) === "RESULT_UPLOAD_REQUESTED");
  if (uploader === undefined) throw new Error("an uploader");
  await upload(world, uploader, taskId);
  const done = await world.until(second, taskId, "completed", ({ status }) => status === "COMPLETED");
  expect(done.transactions.map(({ kind, outcome }) => [kind, outcome])).toEqual([
    ["initialize", "mined"],
    ["finalize", "mined"],
  ]);
});

test("many workers asking both processes at once get as many replicates as are wanted, one each", async () => {
  const schedulers = [await world.scheduler(), await world.scheduler()] as const;
  const workers = await Promise.all(
    [10, 11, 12, 13, 14, 15].map((index) => world.worker(index, index % 2 === 0 ? schedulers[0] : schedulers[1])),
  );
  const { taskIds } = await world.buy(5n);
  const [taskId = "0x"] = taskIds;
  await world.until(schedulers[0], taskId, "open", ({ chain }) => chain?.status === "ACTIVE");
  const given = (await Promise.all(workers.map((worker) => worker.demand(3)))).filter((found) => found !== undefined);
  expect(given).toHaveLength(3);
  expect(new Set(given.map(({ workerWallet }) => workerWallet)).size).toBe(3);
});

test("a scheduler that was away finds out what happened and goes on", async () => {
  const before = await world.scheduler();
  const worker = await world.worker(10, before);
  await world.buy(1n);
  const authorization = await worker.work();
  const taskId = authorization.chainTaskId;
  await worker.compute(taskId);
  await before.close();
  // While nobody watches: the contribution and the reveal are mined, another deal is made.
  await world.chain.contribute(worker.account, authorization, digestOf(42));
  await world.chain.reveal(worker.account, taskId, digestOf(42));
  const { taskIds } = await world.buy(1n);

  const after = await world.scheduler();
  worker.moveTo(after.url);
  await worker.join();
  await world.until(after, taskId, "upload request", (view) => statusOf(view, worker.wallet) === "RESULT_UPLOAD_REQUESTED");
  const missed = await worker.interrupted();
  expect(missed.map(({ chainTaskId, taskNotificationType }) => [chainTaskId, taskNotificationType])).toEqual([[taskId, "PLEASE_UPLOAD"]]);
  await upload(world, worker, taskId);
  await world.until(after, taskId, "completed", ({ status }) => status === "COMPLETED");
  expect((await worker.work()).chainTaskId).toBe(taskIds[0]);
});

test("a database that was lost is filled again from the chain", async () => {
  const before = await world.scheduler();
  const worker = await world.worker(10, before);
  await world.buy(1n);
  const taskId = await contribute(world, worker);
  await before.close();
  const empty = await world.postgres.createDatabase();
  const after = await world.scheduler({ database: { url: empty.url } });
  worker.moveTo(after.url);
  await worker.join();
  await world.until(after, taskId, "adopted", (view) => view.status === "CONSENSUS_REACHED" && view.replicates.length === 1);
  const missed = await worker.interrupted();
  expect(missed.map(({ taskNotificationType }) => taskNotificationType)).toEqual(["PLEASE_REVEAL"]);
  await world.chain.reveal(worker.account, taskId, digestOf(42));
  await world.until(after, taskId, "upload request", (view) => statusOf(view, worker.wallet) === "RESULT_UPLOAD_REQUESTED");
  await after.close();
  await empty.drop();
});

test("silence during our own absence is not held against a worker, but one that never came back is lost", async () => {
  const before = await world.scheduler({ lostAfterMs: 1_500 });
  const [here, gone] = [await world.worker(10, before), await world.worker(11, before)];
  await world.buy(3n);
  const { chainTaskId: taskId } = await here.work();
  await gone.work();
  await before.close();
  const after = await world.scheduler({ lostAfterMs: 1_500 });
  here.moveTo(after.url);
  const pings = setInterval(() => void here.ping(), 200);
  try {
    const view = await world.until(after, taskId, "lost", (one) => statusOf(one, gone.wallet) === "WORKER_LOST");
    expect(statusOf(view, here.wallet)).toBe("CREATED");
    const listed = WORKERS.parse(await (await fetch(`${after.url}/v1/workers`)).json());
    expect(listed.workers.map(({ wallet, alive }) => [wallet, alive])).toEqual([
      [here.wallet, true],
      [gone.wallet, false],
    ]);
  } finally {
    clearInterval(pings);
  }
});

const WORKERS = z.object({ workers: z.array(z.object({ wallet: z.string(), alive: z.boolean() })) });
