import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { digestOf } from "./test/hand-worker.ts";
import { contribute, type Ground, LINK, openGround, openWorld, reveal, upload, type View, type World } from "./test/world.ts";

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
const historyOf = (view: View, wallet: string): readonly string[] =>
  view.replicates.find((replicate) => replicate.wallet === wallet)?.history.map(({ status }) => status) ?? [];

test("a deal of trust 1 goes from the market to COMPLETED", async () => {
  const scheduler = await world.scheduler();
  const worker = await world.worker(10, scheduler);
  const asked = worker.demand();
  const { taskIds } = await world.buy(1n);
  const authorization = await asked;
  const taskId = authorization?.chainTaskId ?? "0x";
  expect(taskIds).toEqual([taskId]);
  await worker.compute(taskId);
  const contributed = await world.chain.contribute(worker.account, authorization ?? expect.fail("no work"), digestOf(42));
  const details = { chainReceipt: { blockNumber: contributed.blockNumber, txHash: contributed.transactionHash } };
  expect(await worker.report(taskId, "CONTRIBUTED", { details })).toEqual({ kind: "stored", action: "PLEASE_WAIT" });
  await world.until(scheduler, taskId, "consensus", ({ status }) => status === "CONSENSUS_REACHED");
  await reveal(world, worker, taskId);
  await world.until(scheduler, taskId, "upload request", (view) => statusOf(view, worker.wallet) === "RESULT_UPLOAD_REQUESTED");
  await upload(world, worker, taskId);
  const done = await world.until(scheduler, taskId, "completed", ({ status }) => status === "COMPLETED");
  expect(done.chain?.status).toBe("COMPLETED");
  expect(done.resultLink).toBe(LINK);
  expect((await worker.report(taskId, "COMPLETED")).kind).toBe("stored");
  const closed = await world.until(scheduler, taskId, "closed", (view) => view.closed);
  expect(closed.transactions.map(({ kind, outcome }) => [kind, outcome])).toEqual([
    ["initialize", "mined"],
    ["finalize", "mined"],
  ]);
});

test("trust 5 takes three workers that agree; a dissenter calls for a fourth and loses its stake", async () => {
  const scheduler = await world.scheduler();
  const workers = await Promise.all([10, 11, 12, 13].map((index) => world.worker(index, scheduler)));
  const [a, b, c, d] = workers;
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error("four workers");
  await world.buy(5n);
  const taskId = await contribute(world, a);
  await contribute(world, b, digestOf(666));
  await contribute(world, c);
  await contribute(world, d);
  // With one dissenter of the same weight four must agree.
  const e = await world.worker(14, scheduler);
  await contribute(world, e);
  const agreed = [a, c, d, e];
  await world.until(scheduler, taskId, "consensus", ({ status }) => status === "CONSENSUS_REACHED");
  for (const worker of agreed) await reveal(world, worker, taskId);
  const asked = await world.until(scheduler, taskId, "upload request", ({ replicates }) =>
    replicates.some(({ status }) => status === "RESULT_UPLOAD_REQUESTED"),
  );
  const uploader = agreed.find(({ wallet }) => statusOf(asked, wallet) === "RESULT_UPLOAD_REQUESTED");
  if (uploader === undefined) throw new Error("an uploader among the winners");
  await upload(world, uploader, taskId);
  expect((await b.report(taskId, "ABORTED_ON_CONSENSUS_REACHED")).kind).toBe("stored");
  const closed = await world.until(scheduler, taskId, "closed", (view) => view.closed);
  expect(agreed.map(({ wallet }) => statusOf(closed, wallet))).toEqual(["COMPLETED", "COMPLETED", "COMPLETED", "COMPLETED"]);
  expect(statusOf(closed, b.wallet)).toBe("ABORTED_ON_CONSENSUS_REACHED");
});

test("a worker that stops pinging is replaced at once", async () => {
  const scheduler = await world.scheduler({ lostAfterMs: 1_500 });
  const silent = await world.worker(10, scheduler);
  await world.buy(1n);
  const { chainTaskId: taskId } = await silent.work();
  await silent.report(taskId, "RUNNING");
  const other = await world.worker(11, scheduler);
  // A held question is a sign of life of its own worker only when it begins; the replacement pings.
  const pings = setInterval(() => void other.ping(), 300);
  try {
    expect(await contribute(world, other)).toBe(taskId);
    const view = await world.until(scheduler, taskId, "consensus", ({ status }) => status === "CONSENSUS_REACHED");
    expect(historyOf(view, silent.wallet)).toEqual(["CREATED", "RUNNING", "WORKER_LOST"]);
  } finally {
    clearInterval(pings);
  }
});

test("a worker that comes back after being lost goes on, once, and its journal may begin anew", async () => {
  const scheduler = await world.scheduler({ lostAfterMs: 1_200 });
  const worker = await world.worker(10, scheduler);
  await world.buy(1n);
  const { chainTaskId: taskId } = await worker.work();
  await worker.report(taskId, "RUNNING");
  await world.until(scheduler, taskId, "lost", (view) => statusOf(view, worker.wallet) === "WORKER_LOST");
  await worker.join();
  const pings = setInterval(() => void worker.ping(), 300);
  try {
    const again = await worker.work();
    expect(again.chainTaskId).toBe(taskId);
    expect(await worker.report(taskId, "RUNNING", { seq: 1 })).toEqual({ kind: "stored", action: "PLEASE_DOWNLOAD_APP" });
    const view = await world.view(scheduler, taskId);
    expect(historyOf(view, worker.wallet)).toEqual(["CREATED", "RUNNING", "WORKER_LOST", "RECOVERING", "CREATED", "RUNNING"]);
  } finally {
    clearInterval(pings);
  }
});

test("an upload that is not started is asked again, and a failed one too", async () => {
  const patience = { uploadStartMs: 400, uploadMs: 60_000, uploadRetryMs: 50, repeatMs: 30_000, unnotifiedMs: 300, closeMs: 500 };
  const scheduler = await world.scheduler({ patience });
  const worker = await world.worker(10, scheduler);
  await world.buy(1n);
  const taskId = await contribute(world, worker);
  await reveal(world, worker, taskId);
  const requests = (view: View): number => historyOf(view, worker.wallet).filter((status) => status === "RESULT_UPLOAD_REQUESTED").length;
  const again = await world.until(scheduler, taskId, "second request", (view) => requests(view) >= 2);
  expect(historyOf(again, worker.wallet)).toContain("RESULT_UPLOAD_REQUEST_FAILED");
  await worker.report(taskId, "RESULT_UPLOADING");
  const before = requests(await world.view(scheduler, taskId));
  expect((await worker.report(taskId, "RESULT_UPLOAD_FAILED", { cause: "RESULT_LINK_MISSING" })).kind).toBe("stored");
  await world.until(scheduler, taskId, "another request", (view) => requests(view) > before);
  await upload(world, worker, taskId);
  await world.until(scheduler, taskId, "completed", ({ status }) => status === "COMPLETED");
});

test("what is on chain and was not reported is filled in, and a late report is kept without harm", async () => {
  const scheduler = await world.scheduler();
  const worker = await world.worker(10, scheduler);
  await world.buy(1n);
  const authorization = await worker.work();
  const taskId = authorization.chainTaskId;
  await worker.report(taskId, "RUNNING");
  await world.chain.contribute(worker.account, authorization, digestOf(42));
  await world.until(scheduler, taskId, "filled", (view) => statusOf(view, worker.wallet) === "CONTRIBUTED");
  expect(await worker.report(taskId, "APP_DOWNLOADING")).toEqual({ kind: "stored", action: "PLEASE_WAIT" });
  expect(statusOf(await world.view(scheduler, taskId), worker.wallet)).toBe("CONTRIBUTED");
  await world.chain.reveal(worker.account, taskId, digestOf(42));
  const view = await world.until(scheduler, taskId, "upload request", (one) => statusOf(one, worker.wallet) === "RESULT_UPLOAD_REQUESTED");
  expect(historyOf(view, worker.wallet)).toContain("REVEALED");
});

test("reports are checked: claims against the chain, order against the table, repetitions by position", async () => {
  const scheduler = await world.scheduler();
  const [worker, stranger] = [await world.worker(10, scheduler), await world.worker(11, scheduler)];
  await world.buy(1n);
  const { chainTaskId: taskId } = await worker.work();
  expect(await stranger.report(taskId, "RUNNING")).toEqual({ kind: "refused", action: "PLEASE_ABORT" });
  expect(await worker.report(taskId, "COMPUTING")).toEqual({ kind: "refused", action: "PLEASE_ABORT" });
  expect(await worker.report(taskId, "RUNNING", { seq: 7 })).toEqual({ kind: "stored", action: "PLEASE_DOWNLOAD_APP" });
  expect((await worker.report(taskId, "RUNNING", { seq: 7 })).kind).toBe("duplicate");
  expect((await worker.report(taskId, "WORKER_LOST", { seq: 8 })).kind).toBe("duplicate");
  expect(await worker.report(taskId, "CONTRIBUTED", { seq: 9 })).toEqual({ kind: "refused", action: "PLEASE_ABORT" });
  const hostile = { errorMessage: "\0\uD800", resultLink: "\0", computeLogs: { stdout: "\0".repeat(1_000), stderr: "" } };
  expect((await worker.report(taskId, "FAILED", { seq: 10, cause: `SBX-1001 ${"x".repeat(50)}`, details: hostile })).kind).toBe("stored");
  // The failed replicate is replaced at once, by another worker.
  expect((await stranger.work()).chainTaskId).toBe(taskId);
});

test("a worker computes as many tasks at once as it has CPUs", async () => {
  const scheduler = await world.scheduler();
  const worker = await world.worker(10, scheduler);
  await worker.join(2);
  await world.buy(1n, { volume: 3n });
  const [first, second] = [await worker.work(), await worker.work()];
  expect(first.chainTaskId).not.toBe(second.chainTaskId);
  expect(await worker.demand(1)).toBeUndefined();
  const computing: unknown = await (await worker.call("GET", "/workers/computing")).json();
  expect(computing).toEqual([first.chainTaskId, second.chainTaskId]);
  await worker.compute(first.chainTaskId);
  const third = await worker.work();
  expect([first.chainTaskId, second.chainTaskId]).not.toContain(third.chainTaskId);
});

test("an assignment whose answer was lost is given again, the same one", async () => {
  const scheduler = await world.scheduler({ redeliverMs: 300 });
  const worker = await world.worker(10, scheduler);
  await world.buy(1n, { volume: 2n });
  const lost = await worker.work();
  let again = await worker.demand(0);
  while (again === undefined) again = await worker.demand(1);
  expect(again.chainTaskId).toBe(lost.chainTaskId);
  const view = await world.view(scheduler, lost.chainTaskId);
  expect(historyOf(view, worker.wallet)).toEqual(["CREATED"]);
});
