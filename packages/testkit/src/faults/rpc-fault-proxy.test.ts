import { createPublicClient, http, keccak256, type PublicClient } from "viem";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { WebSocket } from "ws";
import { type LocalChain, type RpcFaultProxy, startLocalChain, startRpcFaultProxy } from "../index.ts";

let chain: LocalChain;
let proxy: RpcFaultProxy;
let client: PublicClient;
beforeAll(async () => {
  chain = await startLocalChain();
  await chain.mine(5);
  proxy = await startRpcFaultProxy(chain.rpcUrl);
  client = createPublicClient({ transport: http(proxy.url, { retryCount: 0, batch: true }), cacheTime: 0 });
});
afterEach(() => proxy.heal());
afterAll(async () => {
  await proxy.stop();
  await chain.stop();
});

const transfer = async () => {
  const account = chain.account(50);
  const nonce = await chain.client.getTransactionCount({ address: account.address });
  const to = chain.account(51).address;
  return account.signTransaction({ type: "legacy", chainId: chain.chainId, nonce, gas: 21_000n, gasPrice: 10n ** 10n, to, value: 1n });
};

test("is the node itself while nothing is wrong, batches too", async () => {
  const [id, number, block] = await Promise.all([client.getChainId(), client.getBlockNumber(), client.getBlock()]);
  expect([id, number]).toEqual([chain.chainId, await chain.client.getBlockNumber()]);
  expect(block.number).toBe(number);
  expect(proxy.calls).toEqual(expect.arrayContaining(["eth_chainId", "eth_blockNumber", "eth_getBlockByNumber"]));
});

test("down: no answer at all", async () => {
  proxy.faults.down = true;
  await expect(client.getBlockNumber()).rejects.toThrow();
  proxy.heal();
  await client.getBlockNumber();
});

test("429 as many times as asked", async () => {
  proxy.faults.tooManyRequests = 1;
  await expect(client.getBlockNumber()).rejects.toMatchObject({ status: 429 });
  await client.getBlockNumber();
});

test("another chain id, garbage, and errors of one method", async () => {
  proxy.faults.chainId = 1;
  expect(await client.getChainId()).toBe(1);
  proxy.faults.errors = { eth_gasPrice: { code: -32_603, message: "no" } };
  await expect(client.getGasPrice()).rejects.toThrow();
  proxy.faults.garbage = true;
  await expect(client.getChainId()).rejects.toThrow();
});

test("a node that is stuck at a block knows nothing newer", async () => {
  const head = await chain.client.getBlockNumber();
  const stuck = head - 2n;
  const before = await client.getBalance({ address: chain.account(52).address });
  proxy.faults.staleAt = stuck;
  await chain.giveNative(chain.account(52).address, 5n);
  expect(await client.getBlockNumber()).toBe(stuck);
  expect((await client.getBlock()).number).toBe(stuck);
  expect(await client.getBalance({ address: chain.account(52).address })).toBe(before);
  await expect(client.getBlock({ blockNumber: head })).rejects.toThrow();
  proxy.heal();
  expect(await client.getBalance({ address: chain.account(52).address })).toBe(before + 5n);
});

test("a transaction can be swallowed, or sent with the answer lost, or refused", async () => {
  const serializedTransaction = await transfer();
  const hash = keccak256(serializedTransaction);
  proxy.faults.sendRawTransaction = "drop";
  expect(await client.sendRawTransaction({ serializedTransaction })).toBe(hash);
  await expect(chain.client.getTransactionReceipt({ hash })).rejects.toThrow();
  proxy.faults.sendRawTransaction = "refuse";
  await expect(client.sendRawTransaction({ serializedTransaction })).rejects.toThrow();
  proxy.faults.sendRawTransaction = "lost-answer";
  await expect(client.sendRawTransaction({ serializedTransaction })).rejects.toThrow();
  expect((await chain.client.getTransactionReceipt({ hash })).status).toBe("success");
  proxy.faults.nullReceipts = true;
  await expect(client.getTransactionReceipt({ hash })).rejects.toThrow();
});

test("logs: ranges have a limit, and answers may be cut short", async () => {
  for (const index of [1, 2, 3]) await chain.giveRlc(chain.account(index).address, 1n);
  const all = () => client.getLogs({ address: chain.rlc, fromBlock: 0n, toBlock: "latest" });
  expect((await all()).length).toBeGreaterThanOrEqual(3);
  proxy.faults.truncateLogs = 1;
  expect(await all()).toHaveLength(1);
  proxy.faults.maxLogRange = 2n;
  await expect(all()).rejects.toThrow();
  const head = await client.getBlockNumber();
  await client.getLogs({ fromBlock: head - 1n, toBlock: head });
});

test("new heads arrive through the WebSocket until the node is stuck or cut", async () => {
  const socket = new WebSocket(proxy.wsUrl);
  const heads: string[] = [];
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const next = () => new Promise<string>((resolve) => socket.once("message", (message) => resolve(String(message))));
  await new Promise((resolve) => socket.once("open", resolve));
  const subscribed = next();
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["newHeads"] }));
  expect(await subscribed).toContain("result");
  socket.on("message", (message) => heads.push(String(message)));
  const head = next();
  await chain.mine();
  expect(await head).toContain("eth_subscription");

  proxy.faults.staleAt = 1n;
  const before = heads.length;
  const answered = next();
  await chain.mine();
  socket.send(JSON.stringify({ jsonrpc: "2.0", id: 2, method: "eth_chainId", params: [] }));
  expect(await answered).toContain('"id":2');
  expect(heads.length).toBe(before + 1);
  proxy.cutSockets();
  await closed;
});
