import { chainTime, wei } from "@iexec-ts/poco";
import { afterEach, describe, expect, test } from "vitest";
import { type ChainRig, GATE, GWEI, intentOf, NEEDS_COINS, sinkBalance, startRig, untilRecord, untilState } from "../test/chain-rig.ts";

let rig: ChainRig;
afterEach(() => rig.close());

const attemptsAre = (count: number) => (record: { readonly attempts: readonly unknown[] }) => record.attempts.length === count;
const gasOf = (price: bigint) => `0x${price.toString(16)}`;

/** Mines blocks too dear for anybody until `reached` resolves. */
async function mineDearUntil<T>(reached: Promise<T>): Promise<T> {
  let done = false;
  const result = reached.finally(() => {
    done = true;
  });
  while (!done) {
    await rig.rpc("anvil_setNextBlockBaseFeePerGas", gasOf(900n * GWEI));
    await rig.mine();
    await rig.pool.waitForBlock(await rig.pool.client.getBlockNumber());
  }
  return result;
}

describe("a transaction that is not mined", () => {
  test("is replaced under the cap, with both fees at least 12.5 % higher, and mined once", async () => {
    rig = await startRig({ noMining: true });
    const cap = 100n * GWEI;
    const queue = await rig.queue({ gas: { multiplier: 1.3, cap }, stuckAfterMs: 200 });
    const outcome = queue.submit(intentOf("stuck", { value: wei(1n) }));
    const record = await untilRecord(queue, "stuck", attemptsAre(3));
    for (const [index, attempt] of record.attempts.entries()) {
      const before = record.attempts[index - 1];
      expect(attempt.maxFeePerGas).toBeLessThanOrEqual(cap);
      if (before === undefined) continue;
      expect(attempt.maxFeePerGas * 1000n).toBeGreaterThanOrEqual(before.maxFeePerGas * 1125n);
      expect(attempt.maxPriorityFeePerGas * 1000n).toBeGreaterThanOrEqual(before.maxPriorityFeePerGas * 1125n);
    }
    await rig.mine();
    expect(await outcome).toMatchObject({ kind: "mined" });
    expect(await sinkBalance(rig)).toBe(1n);
  });

  test("is sent again as it is when the cap leaves no room, and mined when prices fall", async () => {
    rig = await startRig({ noMining: true });
    const broadcast = Promise.withResolvers<void>();
    const queue = await rig.queue(
      { gas: { multiplier: 1, cap: 4n * GWEI }, stuckAfterBlocks: 2 },
      { checkpoint: (name) => name === "tx-broadcast" && broadcast.resolve() },
    );
    const outcome = queue.submit(intentOf("capped"));
    await broadcast.promise;
    const record = await mineDearUntil(untilRecord(queue, "capped", ({ note }) => note?.startsWith("stuck") === true));
    expect(record.attempts.every(({ maxFeePerGas }) => maxFeePerGas <= 4n * GWEI)).toBe(true);
    await rig.rpc("anvil_setNextBlockBaseFeePerGas", gasOf(GWEI));
    await rig.mineOn();
    expect(await outcome).toMatchObject({ kind: "mined" });
  });

  test("may be settled by the original although a replacement was sent", async () => {
    rig = await startRig({ noMining: true });
    const queue = await rig.queue();
    const outcome = queue.submit(intentOf("original", { value: wei(1n) }));
    const first = (await untilRecord(queue, "original", attemptsAre(1))).attempts[0];
    const bumped = await queue.bump("original");
    expect(bumped.attempts).toHaveLength(2);
    await rig.rpc("anvil_dropAllTransactions");
    await rig.rpc("eth_sendRawTransaction", first?.raw);
    await rig.mine();
    expect(await outcome).toMatchObject({ kind: "mined", hash: first?.hash });
    expect(await sinkBalance(rig)).toBe(1n);
    await expect(queue.bump("original")).rejects.toMatchObject({ code: "CHN-3002" });
  });

  test("is cancelled once its deadline has passed, so that the late call burns no gas", async () => {
    rig = await startRig({ noMining: true });
    const queue = await rig.queue({ urgentSeconds: 0 });
    const before = chainTime(rig.pool.head().timestamp + 1_000n);
    const outcome = queue.submit(intentOf("late", { value: wei(1n), before }));
    const next = queue.submit(intentOf("next", { value: wei(1n) }));
    await untilState(queue, "next", "sent");
    await rig.rpc("anvil_setNextBlockBaseFeePerGas", gasOf(90n * GWEI));
    await rig.rpc("evm_increaseTime", 2_000);
    await rig.mine();
    const record = await untilRecord(queue, "late", attemptsAre(2));
    expect(record.attempts.map(({ cancels }) => cancels)).toEqual([false, true]);
    await rig.rpc("anvil_setNextBlockBaseFeePerGas", gasOf(GWEI));
    await rig.mineOn();
    expect(await outcome).toEqual({ kind: "expired" });
    expect(await next).toMatchObject({ kind: "mined" });
    expect(await sinkBalance(rig)).toBe(1n);
  });

  test("is cancelled on request", async () => {
    rig = await startRig({ noMining: true });
    const queue = await rig.queue();
    const outcome = queue.submit(intentOf("no", { value: wei(1n) }));
    await untilRecord(queue, "no", attemptsAre(1));
    await queue.cancel("no");
    await rig.mineOn();
    expect(await outcome).toEqual({ kind: "expired" });
    expect(await sinkBalance(rig)).toBe(0n);
    expect(await rig.nonce()).toBe(1);
  });
});

describe("a nonce taken by somebody else", () => {
  test("before the first look is simply not ours", async () => {
    rig = await startRig();
    await rig.foreign(0);
    const queue = await rig.queue();
    expect(await queue.submit(intentOf("after"))).toMatchObject({ kind: "mined" });
    expect((await queue.list())[0]?.nonce).toBe(1);
  });

  test("between two of our transactions is reported and stepped over", async () => {
    rig = await startRig();
    const foreign: unknown[] = [];
    const queue = await rig.queue({}, { onForeign: (event) => foreign.push(event) });
    await queue.submit(intentOf("a"));
    await rig.foreign(1);
    expect(await queue.submit(intentOf("b"))).toMatchObject({ kind: "mined" });
    expect((await queue.list())[0]?.nonce).toBe(2);
    expect(foreign).toMatchObject([{ nonce: 1 }]);
  });

  test("after ours was sent makes the intent be signed again with the next one", async () => {
    rig = await startRig({ noMining: true });
    const foreign: unknown[] = [];
    const queue = await rig.queue({}, { onForeign: (event) => foreign.push(event) });
    const outcome = queue.submit(intentOf("robbed", { value: wei(1n) }));
    await untilRecord(queue, "robbed", attemptsAre(1));
    await rig.foreign(0, 90n * GWEI);
    await rig.mine();
    await untilRecord(queue, "robbed", ({ nonce }) => nonce === 1);
    await rig.mineOn();
    expect(await outcome).toMatchObject({ kind: "mined" });
    expect(foreign).toEqual([{ nonce: 0, id: "robbed" }]);
    expect(await sinkBalance(rig)).toBe(1n);
  });
});

describe("a reorganisation", () => {
  test.each([1, 2, 3])("of depth %i that drops our transaction makes it be sent again", async (depth) => {
    rig = await startRig();
    const queue = await rig.queue({ finalDepth: 10 });
    await queue.submit(intentOf("lost", { value: wei(1n) }));
    for (let n = 1; n < depth; n += 1) await rig.mine();
    const mined = (await queue.list())[0];
    const again = untilRecord(queue, "lost", ({ state, minedBlock }) => state === "mined" && minedBlock !== mined?.minedBlock);
    await rig.rpc("anvil_reorg", depth, []);
    expect((await again).attempts).toEqual(mined?.attempts);
    expect(await queue.submit(intentOf("lost", { value: wei(1n) }))).toMatchObject({ kind: "mined" });
    expect(await sinkBalance(rig)).toBe(1n);
  });

  test("that undoes what our call builds on as well: it waits for that to come back instead of failing", async () => {
    rig = await startRig();
    const queue = await rig.queue({ finalDepth: 20, stuckAfterBlocks: 2 });
    await rig.rpc("anvil_setCode", GATE, NEEDS_COINS);
    await rig.mine();
    await rig.fund(GATE, 1n);
    await queue.submit({ id: "builds on it", to: GATE, data: "0x", gasFloor: 60_000n });
    await rig.rpc("anvil_reorg", 2, []);
    const held = await untilRecord(queue, "builds on it", ({ note }) => note?.startsWith("held back") === true);
    for (let n = 0; n < 3; n += 1) await rig.mine();
    await rig.fund(GATE, 1n);
    const again = await untilState(queue, "builds on it", "mined");
    expect(again.attempts[0]).toEqual(held.attempts[0]);
    expect(await queue.submit({ id: "builds on it", to: GATE, data: "0x", gasFloor: 60_000n })).toMatchObject({ kind: "mined" });
  });

  test("that makes our call fail for good: it gives its nonce to the one behind it", async () => {
    rig = await startRig();
    const queue = await rig.queue({ finalDepth: 20, stuckAfterBlocks: 2 });
    await rig.rpc("anvil_setCode", GATE, NEEDS_COINS);
    await rig.mine();
    await rig.fund(GATE, 1n);
    await queue.submit({ id: "pointless", to: GATE, data: "0x", gasFloor: 60_000n });
    await rig.rpc("anvil_reorg", 2, []);
    await untilRecord(queue, "pointless", ({ note }) => note?.startsWith("held back") === true);
    const behind = queue.submit(intentOf("behind", { value: wei(1n) }));
    await rig.mineOn();
    expect(await behind).toMatchObject({ kind: "mined" });
    expect((await untilState(queue, "pointless", "cancelled")).nonce).toBe(0);
  });

  test("that undoes a foreign transaction leaves a gap, which is filled", async () => {
    rig = await startRig({ noMining: true });
    await rig.foreign(0);
    await rig.mine();
    const queue = await rig.queue({ stuckAfterBlocks: 2, finalDepth: 20 });
    const outcome = queue.submit(intentOf("behind", { value: wei(1n) }));
    await untilRecord(queue, "behind", ({ nonce }) => nonce === 1);
    await rig.rpc("anvil_dropAllTransactions");
    await rig.rpc("anvil_reorg", 1, []);
    await rig.mineOn();
    expect(await outcome).toMatchObject({ kind: "mined" });
    expect(await rig.nonce()).toBe(2);
  });
});

test("on a chain without fees a wallet that holds nothing can send", async () => {
  rig = await startRig({ hardfork: "berlin", gasPrice: 0n, chainId: 134 });
  const queue = await rig.queue();
  expect(await queue.quote(1_000_000n)).toEqual({ cost: 0n, feePerGas: 0n, aboveCap: false });
  const outcomes = await Promise.all([queue.submit(intentOf("free")), queue.submit(intentOf("free too"))]);
  expect(outcomes).toMatchObject([{ kind: "mined" }, { kind: "mined" }]);
});

test("a chain that went back behind a final transaction stops the queue with a code", async () => {
  rig = await startRig();
  const faults: string[] = [];
  const queue = await rig.queue({ stuckAfterMs: 300, finalDepth: 2 }, { onFault: ({ code }) => faults.push(code) });
  const snapshot = await rig.rpc("evm_snapshot");
  const final = untilState(queue, "old", "final");
  await queue.submit(intentOf("old"));
  await rig.mine();
  await rig.mine();
  await final;
  await rig.rpc("evm_revert", snapshot);
  await expect(queue.submit(intentOf("new"))).rejects.toMatchObject({ code: "CHN-3005" });
  expect(faults).toEqual(["CHN-3005"]);
});
