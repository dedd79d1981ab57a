import { systemClock } from "@iexec-ts/service";
import { type LocalChain, startLocalChain } from "@iexec-ts/testkit";
import { keccak256, toHex, zeroAddress } from "viem";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Hub, RpcPool } from "../api.ts";
import { createRpcPool } from "../rpc/rpc-pool.ts";
import { createHub } from "./hub.ts";

const UNKNOWN = keccak256(toHex("nothing has this id"));
const lower = (text: string) => text.toLowerCase();

describe.each([
  ["token", false],
  ["native", true],
] as const)("hub with a %s escrow", (_, native) => {
  let chain: LocalChain;
  let pool: RpcPool;
  let hub: Hub;

  beforeAll(async () => {
    chain = await startLocalChain({ native });
    pool = await createRpcPool({ urls: [chain.rpcUrl], expectedHub: chain.hub, chainId: chain.chainId }, { clock: systemClock });
    hub = await createHub(pool, chain.hub);
  });
  afterAll(async () => {
    await pool.close();
    await chain.stop();
  });

  test("reads its configuration", () => {
    expect(hub.configuration).toMatchObject({ address: lower(chain.hub), appRegistry: lower(chain.appRegistry), teeBroker: zeroAddress });
    expect(hub.configuration.token === zeroAddress).toBe(native);
    expect(hub.configuration.callbackGas).toBeGreaterThan(0n);
  });

  test("knows nothing of ids and addresses that do not exist", async () => {
    const stranger = chain.account(50).address;
    expect(await hub.deal(UNKNOWN)).toBeUndefined();
    expect(await hub.task(UNKNOWN)).toBeUndefined();
    expect(await hub.category(1_000n)).toBeUndefined();
    expect(await hub.app(stranger)).toBeUndefined();
    expect(await hub.dataset(stranger)).toBeUndefined();
    expect(await hub.workerpool(stranger)).toBeUndefined();
    expect(await hub.contribution(UNKNOWN, stranger)).toMatchObject({ status: "UNSET" });
    expect(await hub.account(stranger)).toEqual({ stake: 0n, locked: 0n });
    expect(await hub.score(stranger)).toBe(0n);
    expect(await hub.observe(UNKNOWN, stranger)).toMatchObject({ task: undefined, deal: undefined, ours: { status: "UNSET" } });
  });

  test("reads categories", async () => {
    const all = await hub.categories();
    expect(all.length).toBeGreaterThan(0);
    expect(await hub.category(0n)).toEqual(all[0]);
  });

  test("reads assets as they were registered", async () => {
    const owner = chain.account(10);
    const app = await chain.createApp(owner, {
      name: "hello",
      image: "docker.io/library/alpine:3.20",
      checksum: UNKNOWN,
      mrenclave: "0xABCD",
    });
    const dataset = await chain.createDataset(owner, { name: "data", location: "/ipfs/QmX", checksum: UNKNOWN });
    const workerpool = await chain.createWorkerpool(owner, { description: "pool", workerStakeRatio: 35n, schedulerRewardRatio: 5n });
    await pool.waitForBlock(await chain.client.getBlockNumber());
    expect(await hub.app(app)).toEqual({
      address: lower(app),
      owner: lower(owner.address),
      name: "hello",
      type: "DOCKER",
      multiaddr: "docker.io/library/alpine:3.20",
      checksum: UNKNOWN,
      mrenclave: "0xabcd",
    });
    expect(await hub.dataset(dataset)).toMatchObject({ name: "data", multiaddr: toHex("/ipfs/QmX"), owner: lower(owner.address) });
    expect(await hub.workerpool(workerpool)).toMatchObject({ description: "pool", workerStakeRatio: 35n, schedulerRewardRatio: 5n });
    expect(await hub.app(dataset)).toBeUndefined();
  });

  test("observes task, deal, contribution and account at one block", async () => {
    const [owner, requester, worker] = [chain.account(11), chain.account(12), chain.account(13)];
    const app = await chain.createApp(owner, { name: "a", image: "alpine" });
    const workerpool = await chain.createWorkerpool(owner, { description: "p", workerStakeRatio: 35n, schedulerRewardRatio: 5n });
    for (const one of [owner, requester, worker]) await chain.deposit(one.address, 10_000n);
    const { dealId } = await chain.buy({
      app: { address: app, owner },
      workerpool: { address: workerpool, owner, price: 1_000n },
      requester,
      params: "hello",
    });
    const taskId = await chain.initializeTask(owner, dealId, 0n);
    await pool.waitForBlock(await chain.client.getBlockNumber());
    const before = await hub.observe(taskId, worker.address);
    expect(before).toMatchObject({
      task: { id: taskId, status: "ACTIVE", dealId, index: 0n, contributors: [] },
      deal: {
        id: dealId,
        workerStake: 350n,
        requester: lower(requester.address),
        workerpool: { pointer: lower(workerpool), price: 1_000n },
      },
      ours: { status: "UNSET" },
      account: { stake: 10_000n, locked: 0n },
    });
    const digest = keccak256(toHex("result"));
    await chain.contribute(worker, await chain.authorize(owner, { dealId, index: 0n, worker: worker.address }), digest);
    await pool.waitForBlock(await chain.client.getBlockNumber());
    const after = await hub.observe(taskId, worker.address);
    expect(after).toMatchObject({
      task: { status: "REVEALING", contributors: [lower(worker.address)] },
      ours: { status: "CONTRIBUTED" },
      account: { stake: 9_650n, locked: 350n },
    });
    expect(after.block).toMatchObject({ number: pool.head().number, hash: pool.head().hash });
    expect((await hub.task(taskId, before.block.number))?.status).toBe("ACTIVE");
    expect((await hub.account(worker.address, before.block.number)).locked).toBe(0n);
  });

  test("tells balances outside the escrow", async () => {
    const someone = chain.account(14).address;
    await chain.giveRlc(someone, 500n);
    await pool.waitForBlock(await chain.client.getBlockNumber());
    const coins = await hub.nativeBalance(someone);
    expect(await hub.rlcBalance(someone)).toBe(native ? coins / 10n ** 9n : 500n);
  });

  test("refuses an address without a hub", async () => {
    await expect(createHub(pool, chain.account(1).address)).rejects.toMatchObject({ code: "CHN-2001" });
    await expect(createHub(pool, chain.appRegistry)).rejects.toMatchObject({ code: "CHN-2001" });
  });
});
