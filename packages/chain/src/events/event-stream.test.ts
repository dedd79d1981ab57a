import type { Hex } from "@iexec-ts/poco";
import { systemClock } from "@iexec-ts/service";
import { type RpcFaultProxy, startRpcFaultProxy } from "@iexec-ts/testkit";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Cursor, EventStreamOptions, RpcPool } from "../api.ts";
import { createRpcPool } from "../rpc/rpc-pool.ts";
import { type ChainRig, startRig } from "../test/chain-rig.ts";
import { createEventStream } from "./event-stream.ts";

/** Emits one event without arguments whenever it is called: LOG1(0, 0, 0x01…). */
const EMITTER: Hex = "0x600160006000a1";
const CONTRACT = "0x00000000000000000000000000000000000000e1";
const TOPIC: Hex = `0x${"1".padStart(64, "0")}`;

let rig: ChainRig;
let proxy: RpcFaultProxy;
let pool: RpcPool;

beforeEach(async () => {
  rig = await startRig();
  await rig.rpc("anvil_setCode", CONTRACT, EMITTER);
  await rig.rpc("anvil_impersonateAccount", rig.account.address);
  proxy = await startRpcFaultProxy(rig.anvil.url);
  pool = await createRpcPool({ urls: [proxy.url], requestTimeoutMs: 2_000 }, { clock: systemClock });
  rig.onClose(() => proxy.stop());
  rig.onClose(() => pool.close());
});
afterEach(() => rig.close());

/** One event, in a block of its own. */
const emit = async (): Promise<void> => {
  await rig.rpc("eth_sendTransaction", { from: rig.account.address, to: CONTRACT, gas: "0x186a0" });
};

/** A consumer that keeps what it got and its cursor together, as its store would. */
class Consumer {
  cursor: Cursor | undefined;
  readonly logs = new Map<string, bigint>();
  deliveries = 0;
  failures = 0;
  readonly #changed = new Set<() => void>();

  /** Runs until `enough`, then stops as a process would. */
  async run(options: Partial<EventStreamOptions>, enough: (consumer: Consumer) => boolean): Promise<void> {
    const stop = new AbortController();
    const stream = createEventStream(
      pool,
      { address: CONTRACT, topics: [[TOPIC]], fromBlock: 0n, reorgDepth: 5, lag: 0, maxRange: 1_000, ...options },
      { load: async () => this.cursor, clock: systemClock },
    );
    await stream.run(async ({ logs, cursor }) => {
      if (this.failures > 0) {
        this.failures -= 1;
        throw new Error("store is down");
      }
      this.deliveries += 1;
      for (const { transactionHash, logIndex, blockNumber } of logs) this.logs.set(`${transactionHash}:${logIndex}`, blockNumber ?? 0n);
      this.cursor = cursor;
      if (enough(this)) stop.abort();
      for (const changed of this.#changed) changed();
    }, stop.signal);
  }

  reached(size: number): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (this.logs.size >= size) resolve();
      };
      this.#changed.add(look);
      look();
    });
  }
}

test("delivers what was before and what comes after, once each when nothing goes wrong", async () => {
  const consumer = new Consumer();
  await emit();
  await emit();
  const done = consumer.run({}, ({ logs }) => logs.size === 3);
  await consumer.reached(2);
  await emit();
  await done;
  expect([...consumer.logs.values()]).toEqual([1n, 2n, 3n]);
  expect(consumer.cursor?.blockNumber).toBe(3n);
});

test("goes on from its cursor after a restart, without a gap", async () => {
  const consumer = new Consumer();
  for (let n = 0; n < 3; n += 1) await emit();
  await consumer.run({ maxRange: 2 }, () => true);
  const first = consumer.logs.size;
  for (let n = 0; n < 3; n += 1) await emit();
  await consumer.run({ maxRange: 2 }, ({ logs }) => logs.size === 6);
  expect(first).toBeLessThan(6);
  expect([...consumer.logs.values()]).toEqual([1n, 2n, 3n, 4n, 5n, 6n]);
});

test("halves its range where a node limits it", async () => {
  const consumer = new Consumer();
  for (let n = 0; n < 9; n += 1) await emit();
  proxy.faults.maxLogRange = 2n;
  await consumer.run({}, ({ logs }) => logs.size === 9);
  expect([...consumer.logs.values()]).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n, 9n]);
  expect(consumer.deliveries).toBeGreaterThan(3);
});

test.each([1, 3])("replays what a reorg of depth %i replaced", async (depth) => {
  const consumer = new Consumer();
  for (let n = 0; n < 4; n += 1) await emit();
  await consumer.run({ maxRange: 1 }, ({ logs }) => logs.size === 4);
  await rig.rpc("anvil_reorg", depth, []);
  await emit();
  await consumer.run({ maxRange: 1 }, ({ logs }) => logs.size === 5);
  const block = await rig.pool.client.getBlock({ blockNumber: consumer.cursor?.blockNumber ?? 0n });
  expect(block.hash).toBe(consumer.cursor?.blockHash);
});

test("notices a reorg while it runs", async () => {
  const consumer = new Consumer();
  for (let n = 0; n < 3; n += 1) await emit();
  const done = consumer.run({}, ({ logs }) => logs.size === 4);
  await consumer.reached(3);
  await rig.rpc("anvil_reorg", 2, []);
  await emit();
  await done;
  const block = await rig.pool.client.getBlock({ blockNumber: consumer.cursor?.blockNumber ?? 0n });
  expect(block.hash).toBe(consumer.cursor?.blockHash);
});

test("delivers the same range again when the handler failed, and survives nodes that fail", async () => {
  const consumer = new Consumer();
  consumer.failures = 2;
  await emit();
  proxy.faults.errors = { eth_getLogs: { code: -32_603, message: "internal error" } };
  const done = consumer.run({}, ({ logs }) => logs.size === 1);
  while (!proxy.calls.includes("eth_getLogs")) await systemClock.sleep(10);
  proxy.heal();
  await done;
  expect([...consumer.logs.values()]).toEqual([1n]);
});

test("stays behind the head by the blocks it was told", async () => {
  const consumer = new Consumer();
  await emit();
  const done = consumer.run({ lag: 2 }, ({ logs }) => logs.size === 1);
  await rig.mine();
  expect(consumer.logs.size).toBe(0);
  await rig.mine();
  await done;
  expect(consumer.cursor?.blockNumber).toBe(1n);
});

test("ends quietly with its signal, whatever it waits for", async () => {
  const consumer = new Consumer();
  const stop = new AbortController();
  const stream = createEventStream(
    pool,
    { address: CONTRACT, topics: [TOPIC], fromBlock: 0n, reorgDepth: 5, lag: 0, maxRange: 10 },
    { load: async () => undefined, clock: systemClock },
  );
  const done = stream.run(async () => undefined, stop.signal);
  await emit();
  stop.abort();
  await done;
  expect(consumer.deliveries).toBe(0);
});
