import { addressSchema } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import type { EnclaveService } from "./tasks/enclave.ts";
import { digestOf } from "./test/hand-worker.ts";
import { contribute, type Ground, openGround, openWorld, reveal, upload, type View, type World } from "./test/world.ts";

const PERIOD = 300;
const DEALS = z.object({ deals: z.array(z.object({ dealId: z.string(), state: z.string(), skipReason: z.string().optional() })) });
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
  const { dealId: expired } = await world.buy(1n);
  await world.chain.increaseTime(7 * PERIOD + 1);
  const tdx = `0x${"9".padStart(64, "0")}` as const;
  const { dealId: untrusted } = await world.buy(5n, { tag: tdx });
  const { dealId: unsupported } = await world.buy(1n, { tag: tdx });
  const { dealId: fresh } = await world.buy(1n, { volume: 3n });
  const scheduler = await world.scheduler();
  const worker = await world.worker(10, scheduler);
  expect((await worker.work()).dealId).toBe(fresh);
  const { deals } = DEALS.parse(await (await fetch(`${scheduler.url}/v1/deals`)).json());
  expect(new Map(deals.map(({ dealId, state, skipReason }) => [dealId, skipReason ?? state]))).toEqual(
    new Map([
      [expired, "EXPIRED"],
      [untrusted, "TEE_TRUST"],
      [unsupported, "TEE_UNSUPPORTED"],
      [fresh, "accepted"],
    ]),
  );
});

test("a TEE task waits for its enclave's key, and its authorization names it", async () => {
  const key = world.chain.account(20).address.toLowerCase();
  let calls = 0;
  const enclaves: EnclaveService = {
    challenge: async () => {
      calls += 1;
      if (calls === 1) throw new CodedError("SCH-1303", { url: "test", reason: "not yet" });
      return addressSchema.parse(key);
    },
  };
  const scheduler = await world.scheduler({}, { enclaves });
  const [plain, tdx] = [await world.worker(10, scheduler), await world.worker(11, scheduler)];
  await tdx.join(1, { tdx: true });
  await world.buy(1n, { tag: `0x${"9".padStart(64, "0")}` });
  const [none, authorization] = await Promise.all([plain.demand(8), tdx.work()]);
  expect(none).toBeUndefined();
  expect(authorization.enclaveChallenge).toBe(key);
});

test("a reorganisation that undoes the consensus undoes it here too", async () => {
  const scheduler = await world.scheduler();
  const worker = await world.worker(10, scheduler);
  await world.buy(1n);
  const authorization = await worker.work();
  const taskId = authorization.chainTaskId;
  await worker.compute(taskId);
  const contributed = await world.chain.contribute(worker.account, authorization, digestOf(42));
  const details = { chainReceipt: { blockNumber: contributed.blockNumber, txHash: contributed.transactionHash } };
  await worker.report(taskId, "CONTRIBUTED", { details });
  await world.until(scheduler, taskId, "consensus", ({ status }) => status === "CONSENSUS_REACHED");
  await fetch(world.chain.rpcUrl, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "anvil_reorg", params: [1, []] }),
  });
  await world.chain.mine();
  await world.until(scheduler, taskId, "undone", ({ status, chain }) => status === "RUNNING" && chain?.status === "ACTIVE");
  await world.chain.contribute(worker.account, authorization, digestOf(42));
  await world.until(scheduler, taskId, "consensus again", ({ status }) => status === "CONSENSUS_REACHED");
  await reveal(world, worker, taskId);
  await world.until(scheduler, taskId, "upload request", (view) => statusOf(view, worker.wallet) === "RESULT_UPLOAD_REQUESTED");
});
