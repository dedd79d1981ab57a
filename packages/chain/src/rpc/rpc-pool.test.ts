import { createServer } from "node:http";
import { chainTime } from "@iexec-ts/poco";
import { systemClock } from "@iexec-ts/service";
import { type Anvil, type AnvilOptions, type RpcFaultProxy, startAnvil, startRpcFaultProxy } from "@iexec-ts/testkit";
import { toHex } from "viem";
import { afterEach, describe, expect, test } from "vitest";
import type { EndpointHealth, Head, RpcPool } from "../api.ts";
import { GWEI, rpcTo, walletOf } from "../test/chain-rig.ts";
import { createRpcPool, type RpcPoolOptions } from "./rpc-pool.ts";

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function node(options: AnvilOptions = {}): Promise<Anvil> {
  const anvil = await startAnvil(options);
  closers.push(() => anvil.stop());
  return anvil;
}

async function proxy(target: string): Promise<RpcFaultProxy> {
  const made = await startRpcFaultProxy(target);
  closers.push(() => made.stop());
  return made;
}

async function open(urls: RpcPoolOptions["urls"], options: Partial<RpcPoolOptions> = {}): Promise<RpcPool> {
  const pool = await createRpcPool({ urls, requestTimeoutMs: 3_000, ...options }, { clock: systemClock });
  closers.push(() => pool.close());
  return pool;
}

const mine = (anvil: Anvil, blocks = 1) => rpcTo(anvil.url, "anvil_mine", toHex(blocks));

/** Resolves when the node at `index` is in this state; looked at whenever a head arrives or a block is mined. */
async function untilHealth(pool: RpcPool, index: number, health: EndpointHealth): Promise<void> {
  while (pool.endpoints()[index]?.health !== health) await systemClock.sleep(20);
}

describe("one node", () => {
  test.each([
    ["announced over WebSocket", undefined],
    ["found by polling", false],
  ] as const)("new blocks are %s, in order", async (_, ws) => {
    const anvil = await node();
    const pool = await open([ws === undefined ? anvil.url : { url: anvil.url, ws }]);
    const seen: bigint[] = [];
    pool.onHead(({ number }) => seen.push(number));
    for (let n = 1n; n <= 3n; n += 1n) {
      await mine(anvil);
      expect((await pool.waitForBlock(n)).number).toBe(n);
    }
    expect(seen).toEqual([1n, 2n, 3n]);
    expect(pool.head().number).toBe(3n);
    expect(pool.chainId).toBe(31_337);
  });

  test("a reorg shows as a head whose number does not grow", async () => {
    const anvil = await node();
    await mine(anvil, 5);
    const pool = await open([anvil.url]);
    await pool.waitForBlock(5n);
    const before = pool.head();
    const replaced = new Promise<Head>((resolve) => pool.onHead((head) => head.hash !== before.hash && resolve(head)));
    await rpcTo(anvil.url, "anvil_reorg", 2, []);
    expect((await replaced).number).toBeLessThanOrEqual(before.number);
  });

  test("waiting for a time ends with the block that has it, or with the signal", async () => {
    const anvil = await node();
    const pool = await open([anvil.url]);
    const then = chainTime(pool.head().timestamp + 1_000n);
    const waits = pool.waitForTime(then);
    await rpcTo(anvil.url, "evm_increaseTime", 2_000);
    await mine(anvil);
    expect((await waits).timestamp).toBeGreaterThanOrEqual(then);
    await expect(pool.waitForBlock(1_000n, AbortSignal.abort("enough"))).rejects.toBe("enough");
    const pending = pool.waitForBlock(1_000n);
    await Promise.all([expect(pending).rejects.toMatchObject({ code: "CHN-1005" }), pool.close()]);
  });

  test("nodes are never asked to choose fees, to sign, or to keep filters", async () => {
    const anvil = await node();
    const faulty = await proxy(anvil.url);
    const pool = await open([faulty.url]);
    const { request } = pool.client;
    const ask = (method: string): Promise<unknown> => Reflect.apply(request, undefined, [{ method, params: [] }]);
    for (const method of ["eth_fillTransaction", "eth_sendTransaction", "eth_sendRawTransaction", "eth_newFilter"]) {
      await expect(ask(method)).rejects.toThrow();
      expect(faulty.calls).not.toContain(method);
    }
  });
});

describe("several nodes", () => {
  test("a dead first node is stepped over, and used again when it is back", async () => {
    const anvil = await node();
    const first = await proxy(anvil.url);
    first.faults.down = true;
    const pool = await open([first.url, anvil.url]);
    expect(await pool.client.getBlockNumber()).toBe(0n);
    await untilHealth(pool, 0, "unreachable");
    first.heal();
    await untilHealth(pool, 0, "alive");
    await pool.client.getBalance({ address: walletOf("x").address });
    expect(first.calls).toContain("eth_getBalance");
  });

  test("a node that stays dead is asked with growing pauses, not in a loop", async () => {
    const anvil = await node();
    const pool = await open(["http://127.0.0.1:9", { url: anvil.url, ws: false }], { pollMs: 20 });
    let asked = 0;
    const watch = createServer((request) => {
      asked += 1;
      request.destroy();
    });
    await new Promise<void>((resolve) => watch.listen(0, "127.0.0.1", resolve));
    closers.push(() => new Promise((resolve) => watch.close(() => resolve())));
    const address = watch.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const second = await open([`http://127.0.0.1:${port}`, { url: anvil.url, ws: false }], { pollMs: 20 });
    for (let n = 1n; n <= 10n; n += 1n) {
      await mine(anvil);
      await Promise.all([pool.waitForBlock(n), second.waitForBlock(n)]);
    }
    expect(asked).toBeGreaterThan(0);
    expect(asked).toBeLessThan(30);
  });

  test("a node that dies in the middle costs nothing but a moment", async () => {
    const [anvil, other] = [await node(), await node()];
    const first = await proxy(anvil.url);
    const pool = await open([first.url, other.url]);
    first.faults.down = true;
    expect(await Promise.all(Array.from({ length: 5 }, () => pool.client.getBlockNumber()))).toEqual([0n, 0n, 0n, 0n, 0n]);
  });

  test.each([
    ["too many requests", { tooManyRequests: Number.POSITIVE_INFINITY }],
    ["garbage", { garbage: true }],
    ["slow-loris", { delayMs: 60_000 }],
    ["rate limit as an error", { errors: { eth_getBalance: { code: -32_005, message: "limit exceeded" } } }],
  ])("%s on the first node leaves the second to answer", async (_, faults) => {
    const anvil = await node();
    const first = await proxy(anvil.url);
    const pool = await open([first.url, anvil.url], { requestTimeoutMs: 500 });
    await untilHealth(pool, 0, "alive");
    Object.assign(first.faults, faults);
    expect(await pool.client.getBalance({ address: walletOf("x").address })).toBe(0n);
  });

  test("a first node that refuses waits for a second that was not looked at yet", async () => {
    const anvil = await node();
    const [first, second] = [await proxy(anvil.url), await proxy(anvil.url)];
    second.faults.delayMs = 300;
    const pool = await open([first.url, second.url], { requestTimeoutMs: 5_000 });
    first.faults.errors = { eth_getBalance: { code: -32_005, message: "limit exceeded" } };
    expect(pool.endpoints()[1]?.health).toBe("undialed");
    expect(await pool.client.getBalance({ address: walletOf("x").address })).toBe(0n);
  });

  test("a lagging second node never answers in place of a dead first one", async () => {
    const [ahead, behind] = [await node(), await node()];
    await mine(ahead, 5);
    const first = await proxy(ahead.url);
    const pool = await open([first.url, behind.url], { requestTimeoutMs: 1_000 });
    await pool.waitForBlock(5n);
    await untilHealth(pool, 1, "out-of-sync");
    first.faults.down = true;
    first.cutSockets();
    await expect(pool.client.getBlockNumber()).rejects.toMatchObject({ cause: { code: "CHN-1003" } });
    const read = pool.client.getBlockNumber();
    await mine(behind, 6);
    expect(await read).toBeGreaterThanOrEqual(5n);
  });

  test("a node of another chain is not used", async () => {
    const [right, wrong] = [await node(), await node({ chainId: 5 })];
    const pool = await open([wrong.url, right.url], { chainId: 31_337 });
    await untilHealth(pool, 0, "wrong-chain");
    expect(await pool.client.getChainId()).toBe(31_337);
    await expect(open([wrong.url], { chainId: 31_337 })).rejects.toMatchObject({ code: "CHN-1004" });
  });

  test("a node without the hub is not used", async () => {
    const anvil = await node();
    await expect(open([anvil.url], { expectedHub: "0x00000000000000000000000000000000000000aa" })).rejects.toMatchObject({
      code: "CHN-1004",
    });
  });

  test("no node at all is a coded error", async () => {
    const anvil = await node();
    await anvil.stop();
    await expect(open([anvil.url], { requestTimeoutMs: 300 })).rejects.toMatchObject({ code: "CHN-1003" });
  });

  test("a head too old makes a node the last choice", async () => {
    const anvil = await node();
    const pool = await open([anvil.url], { staleAfterMs: 1 });
    await untilHealth(pool, 0, "out-of-sync");
    expect(await pool.client.getBlockNumber()).toBe(0n);
  });
});

describe("broadcast", () => {
  const account = walletOf("broadcast");
  const sign = (more: { nonce?: number; fee?: bigint; gas?: bigint } = {}) =>
    account.signTransaction({
      type: "eip1559",
      chainId: 31_337,
      nonce: more.nonce ?? 0,
      gas: more.gas ?? 21_000n,
      to: account.address,
      maxFeePerGas: more.fee ?? 10n * GWEI,
      maxPriorityFeePerGas: more.fee ?? GWEI,
    });
  const fund = (anvil: Anvil) => rpcTo(anvil.url, "anvil_setBalance", account.address, toHex(10n ** 18n));

  test("tells what each node said", async () => {
    const anvil = await node({ noMining: true });
    const second = await proxy(anvil.url);
    await fund(anvil);
    const pool = await open([anvil.url, second.url]);
    second.faults.sendRawTransaction = "lost-answer";
    const raw = await sign();
    expect(await pool.broadcast(raw)).toMatchObject({ refusals: [], unknown: 1 });
    second.heal();
    await untilHealth(pool, 1, "alive");
    expect(await pool.broadcast(raw)).toEqual({ accepted: 0, known: 2, refusals: [], unknown: 0 });
  });

  test.each([
    ["insufficient-funds", {}, false],
    ["fee-below-base", { fee: 1n }, true],
    ["intrinsic-gas", { gas: 20_000n }, true],
  ] as const)("%s is a definite refusal", async (kind, more, funded) => {
    const anvil = await node();
    if (funded) await fund(anvil);
    const pool = await open([anvil.url]);
    expect(await pool.broadcast(await sign(more))).toMatchObject({ accepted: 0, known: 0, unknown: 0, refusals: [{ kind }] });
  });
});
