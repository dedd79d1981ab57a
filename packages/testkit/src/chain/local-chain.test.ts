import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HUB_ABI } from "@iexec-ts/poco";
import { type Hex, keccak256, type LocalAccount, toHex, zeroAddress } from "viem";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LocalChain, type Side, startLocalChain } from "../index.ts";
import { findOrCreate } from "./state-file.ts";

const RLC = 1_000_000_000n;
const digest = (text: string): Hex => keccak256(toHex(text));

interface Parts {
  readonly app: Side;
  readonly dataset: Side;
  readonly workerpool: Side;
  readonly requester: LocalAccount;
}

async function market(chain: LocalChain, poolPrice: bigint, datasetPrice: bigint, appPrice = 0n): Promise<Parts> {
  const [appOwner, dataOwner, scheduler, requester] = [1, 2, 3, 4].map((index) => chain.account(index));
  if (appOwner === undefined || dataOwner === undefined || scheduler === undefined || requester === undefined) throw new Error("accounts");
  const [app, dataset, pool] = await Promise.all([
    chain.createApp(appOwner, { name: "app", image: "registry/app:1" }),
    chain.createDataset(dataOwner, { name: "data", location: "https://data.example/x" }),
    chain.createWorkerpool(scheduler, { description: "pool", workerStakeRatio: 35n, schedulerRewardRatio: 5n }),
    ...[scheduler, requester, ...[10, 11, 12].map((index) => chain.account(index))].map((each) =>
      chain.deposit(each.address, 1_000n * RLC),
    ),
  ]);
  return {
    app: { address: app, owner: appOwner, price: appPrice },
    dataset: { address: dataset, owner: dataOwner, price: datasetPrice },
    workerpool: { address: pool, owner: scheduler, price: poolPrice },
    requester,
  };
}

describe("a local chain with token escrow", () => {
  let chain: LocalChain;
  let clean: Hex;
  beforeAll(async () => {
    chain = await startLocalChain();
  });
  afterAll(() => chain.stop());
  const isolated = (run: () => Promise<void>) => async () => {
    clean = await chain.snapshot();
    try {
      await run();
    } finally {
      await chain.revert(clean);
    }
  };

  test("has the contracts at the known address, configured as the networks are", async () => {
    expect(chain.hub).toBe("0x9A9f2CCfdE556A7E9Ff0848998Aa4a0CFD8863AE");
    const read = (functionName: "countCategory" | "callbackgas" | "token" | "appregistry") =>
      chain.client.readContract({ address: chain.hub, abi: HUB_ABI, functionName });
    expect(await read("countCategory")).toBe(5n);
    expect(await read("callbackgas")).toBe(200_000n);
    expect(await read("token")).toBe(chain.rlc);
    expect(await read("appregistry")).toBe(chain.appRegistry);
    const category = await chain.client.readContract({ address: chain.hub, abi: HUB_ABI, functionName: "viewCategory", args: [4n] });
    expect(category).toMatchObject({ name: "XL", workClockTimeRef: 36_000n });
  });

  test(
    "plays a task from match to finalize, to the last nRLC",
    isolated(async () => {
      const { requester, ...parts } = await market(chain, 1_000n, 2n, 3n);
      const [scheduler, worker] = [parts.workerpool.owner, chain.account(10)];
      const before = await chain.balancesOf([requester.address, scheduler.address, worker.address, parts.app.owner.address]);
      const deal = await chain.buy({ ...parts, requester, params: { iexec_args: "hello" } });
      expect(deal.botFirst).toBe(0n);
      expect(deal.taskIds).toHaveLength(1);
      const locked = await chain.balancesOf([requester.address, scheduler.address]);
      expect(locked.get(requester.address)?.locked).toBe(1_005n);
      expect(locked.get(scheduler.address)?.locked).toBe(300n);

      const taskId = await chain.initializeTask(scheduler, deal.dealId, 0n);
      expect(taskId).toBe(deal.taskIds[0]);
      const authorization = await chain.authorize(scheduler, { dealId: deal.dealId, index: 0n, worker: worker.address });
      await chain.contribute(worker, authorization, digest("42"));
      expect((await chain.balancesOf([worker.address])).get(worker.address)?.locked).toBe(350n);
      await chain.reveal(worker, taskId, digest("42"));
      await chain.finalize(scheduler, taskId, toHex("link"));

      const after = await chain.balancesOf([...before.keys()]);
      const gain = (account: LocalAccount) => (after.get(account.address)?.stake ?? 0n) - (before.get(account.address)?.stake ?? 0n);
      expect([gain(worker), gain(scheduler), gain(parts.app.owner), gain(requester)]).toEqual([950n, 50n, 3n, -1_005n]);
    }),
  );

  test(
    "pays the documentation's example with three workers exactly",
    isolated(async () => {
      const { requester, ...parts } = await market(chain, 20n * RLC, 1n * RLC);
      const scheduler = parts.workerpool.owner;
      const workers = [10, 11, 12].map((index) => chain.account(index));
      const answers = ["17", "42", "42"].map(digest);
      for (const [index, score] of [12n, 100n, 300n].entries()) await chain.setScore(workers[index]?.address ?? zeroAddress, score);
      const deal = await chain.buy({ ...parts, requester, trust: 100n });
      const taskId = await chain.initializeTask(scheduler, deal.dealId, 0n);
      const watched = [parts.dataset.owner, scheduler, ...workers];
      const before = await chain.balancesOf(watched.map((each) => each.address));
      for (const [index, worker] of workers.entries()) {
        const authorization = await chain.authorize(scheduler, { dealId: deal.dealId, index: 0n, worker: worker.address });
        await chain.contribute(worker, authorization, answers[index] ?? digest("17"));
      }
      for (const worker of workers.slice(1)) await chain.reveal(worker, taskId, digest("42"));
      await chain.finalize(scheduler, taskId);

      const after = await chain.balancesOf(watched.map((each) => each.address));
      const total = (balances: typeof after, address: Hex) => (balances.get(address)?.stake ?? 0n) + (balances.get(address)?.locked ?? 0n);
      const gains = watched.map(({ address }) => total(after, address) - total(before, address));
      expect(gains).toEqual([RLC, 1_350_000_001n, -7n * RLC, 11_659_090_909n, 13_990_909_090n]);
      const scores = await Promise.all(
        workers.map(({ address }) =>
          chain.client.readContract({ address: chain.hub, abi: HUB_ABI, functionName: "viewScore", args: [address] }),
        ),
      );
      expect(scores).toEqual([8n, 101n, 301n]);
    }),
  );

  test(
    "an enclave's contribution is accepted with its signature and refused without",
    isolated(async () => {
      const { requester, ...parts } = await market(chain, 1_000n, 0n);
      const [scheduler, worker, enclave] = [parts.workerpool.owner, chain.account(10), chain.account(20)];
      const deal = await chain.buy({ ...parts, requester });
      await chain.initializeTask(scheduler, deal.dealId, 0n);
      const assignment = { dealId: deal.dealId, index: 0n, worker: worker.address, enclaveChallenge: enclave.address };
      const authorization = await chain.authorize(scheduler, assignment);
      await expect(chain.contribute(worker, authorization, digest("1"))).rejects.toMatchObject({ code: "NET-1006" });
      await chain.contribute(worker, authorization, digest("1"), enclave);
    }),
  );

  test(
    "deadlines pass by moving the time: a task is claimed and the requester has its money back",
    isolated(async () => {
      const { requester, ...parts } = await market(chain, 1_000n, 0n);
      const category = await chain.createCategory("tiny", 10n);
      expect(category).toBe(5n);
      const deal = await chain.buy({ ...parts, requester, category });
      const taskId = await chain.initializeTask(requester, deal.dealId, 0n);
      await expect(chain.claim(requester, taskId)).rejects.toMatchObject({ code: "NET-1006" });
      await chain.increaseTime(100);
      await chain.claim(requester, taskId);
      expect((await chain.balancesOf([requester.address])).get(requester.address)).toMatchObject({ stake: 1_000n * RLC, locked: 0n });
    }),
  );

  test(
    "the next block has exactly the time asked for",
    isolated(async () => {
      const time = (await chain.now()) + 1_234n;
      await chain.setNextTime(time);
      await chain.mine();
      expect(await chain.now()).toBe(time);
    }),
  );

  test(
    "several tasks in one deal, then the rest of the request in a second deal",
    isolated(async () => {
      const { requester, app, workerpool } = await market(chain, 1_000n, 0n);
      const request = await chain.signOrder(
        "RequestOrder",
        chain.requestOrder({ app: app.address, requester: requester.address, volume: 5n, workerpoolmaxprice: 1_000n }),
        requester,
      );
      const offers = async (volume: bigint) => ({
        app: await chain.signOrder("AppOrder", chain.appOrder({ app: app.address, volume: 10n }), app.owner),
        workerpool: await chain.signOrder(
          "WorkerpoolOrder",
          chain.workerpoolOrder({ workerpool: workerpool.address, workerpoolprice: 1_000n, volume }),
          workerpool.owner,
        ),
        request,
      });
      const first = await chain.matchOrders(requester, await offers(3n));
      const second = await chain.matchOrders(requester, await offers(10n));
      expect([first.taskIds.length, second.taskIds.length, second.botFirst]).toEqual([3, 2, 3n]);
      await expect(chain.matchOrders(requester, await offers(1n))).rejects.toMatchObject({ code: "NET-1301" });
    }),
  );

  test(
    "a requester who cannot pay makes no deal",
    isolated(async () => {
      const { requester: _rich, ...parts } = await market(chain, 1_000n, 0n);
      await expect(chain.buy({ ...parts, requester: chain.account(30) })).rejects.toMatchObject({ code: "NET-1301" });
    }),
  );

  test(
    "own deposits, tokens and coins move as said",
    isolated(async () => {
      const someone = chain.account(40);
      await chain.giveRlc(someone.address, 5n * RLC);
      await chain.depositOwn(someone, 2n * RLC);
      const fresh = "0x00000000000000000000000000000000000000aa";
      await chain.giveNative(fresh, 7n);
      const balances = await chain.balancesOf([someone.address, fresh]);
      expect(balances.get(someone.address)).toMatchObject({ stake: 2n * RLC, token: 3n * RLC, locked: 0n });
      expect(balances.get(fresh)?.native).toBe(7n);
    }),
  );
});

describe("a local chain with native escrow", () => {
  test("plays a task with gas for nothing", async () => {
    const chain = await startLocalChain({ native: true });
    try {
      expect(chain.rlc).toBe(zeroAddress);
      expect(chain.chainId).toBe(65_535);
      const { requester, ...parts } = await market(chain, 1_000n, 2n, 3n);
      const [scheduler, worker] = [parts.workerpool.owner, chain.account(10)];
      const deal = await chain.buy({ ...parts, requester });
      const taskId = await chain.initializeTask(scheduler, deal.dealId, 0n);
      const authorization = await chain.authorize(scheduler, { dealId: deal.dealId, index: 0n, worker: worker.address });
      await chain.contribute(worker, authorization, digest("42"));
      await chain.reveal(worker, taskId, digest("42"));
      await chain.finalize(scheduler, taskId);
      const balances = await chain.balancesOf([worker.address]);
      expect(balances.get(worker.address)).toMatchObject({ stake: 1_000n * RLC + 950n, native: 10n ** 24n });
    } finally {
      await chain.stop();
    }
  });
});

test("two creators of the state file at once both get a good one", async () => {
  const folder = await mkdtemp(join(tmpdir(), "iexec-state-"));
  try {
    const make = () => findOrCreate(folder, "key", { chainId: 31_337, native: false });
    const [first, second] = await Promise.all([make(), make()]);
    expect(first).toEqual(second);
    expect((await readdir(folder)).sort()).toEqual(["key.json", "key.state.json"]);
    expect(await make()).toEqual(first);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
