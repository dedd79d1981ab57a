import { chainTime } from "@iexec-ts/poco";
import { createWatchdog, silentLogger } from "@iexec-ts/service";
import { HandClock } from "@iexec-ts/testkit";
import { createPublicClient, custom } from "viem";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Head, OutboxStore, RpcPool, TxRecord } from "../api.ts";
import { Listeners } from "../rpc/listeners.ts";
import { NodeFault } from "../rpc/rpc-fault.ts";
import { walletOf } from "../test/chain-rig.ts";
import { resend } from "./dispatch.ts";
import { Fence } from "./fence.ts";
import { QueueState } from "./queue-state.ts";
import { settle } from "./settle.ts";
import { enter } from "./take-up.ts";

const BOUND_MS = 150_000;
const ANSWER_MS = 10_000;
const HASH = `0x${"00".repeat(32)}` as const;
const WALLET = walletOf("slow");
const HEAD: Head = { number: 1_000n, hash: HASH, timestamp: chainTime(1n), baseFeePerGas: undefined };

let clock: HandClock;
let stop: AbortController;
let codes: string[];
let foreign: number[];
beforeEach(() => {
  clock = new HandClock();
  stop = new AbortController();
  codes = [];
  foreign = [];
});
afterEach(() => stop.abort());

const notThere = async (): Promise<never> => {
  throw new Error("not part of this test");
};

/** The queue's memory before a node that takes its time for each answer, and an outbox in which nothing changes. */
function slowly(answer: (method: string, params: readonly unknown[]) => unknown, answerMs = ANSWER_MS) {
  const fence = new Fence();
  const request = async ({ method, params }: { readonly method: string; readonly params: readonly unknown[] }): Promise<unknown> => {
    await clock.sleep(answerMs);
    return answer(method, params);
  };
  const client = createPublicClient({ transport: custom({ request }, { retryCount: 0 }), cacheTime: 0 });
  const pool: RpcPool = {
    chainId: 1,
    client,
    head: () => HEAD,
    onHead: () => () => undefined,
    waitForBlock: notThere,
    waitForTime: notThere,
    broadcast: notThere,
    endpoints: () => [],
    close: async () => undefined,
  };
  const store: OutboxStore = {
    open: notThere,
    get: notThere,
    pending: notThere,
    list: notThere,
    addAttempt: notThere,
    setState: notThere,
    reopen: notThere,
    highestNonce: notThere,
  };
  const settings = {
    policy: { multiplier: 1n, cap: 1n, gasless: false },
    confirmations: 1n,
    finalDepth: 12n,
    stuckAfterBlocks: 3n,
    stuckAfterMs: 60_000,
    urgentSeconds: 60n,
    maxGas: 1n,
  };
  const state = new QueueState(
    {
      pool,
      store,
      fence,
      account: WALLET,
      settings,
      clock,
      logger: silentLogger,
      checkpoint: () => undefined,
      onForeign: ({ nonce }) => foreign.push(nonce),
    },
    new Listeners<TxRecord>(),
  );
  return { state, fence };
}

/** Runs `work` as a run of the queue is run, until its end. */
function watched(fence: Fence, work: () => Promise<unknown>): { readonly done: () => boolean } {
  const watchdog = createWatchdog({ clock });
  watchdog.onStall(({ code }) => codes.push(code));
  let done = false;
  void watchdog.keep({ loop: "transactions", boundMs: BOUND_MS, signal: stop.signal }, async (pulse) => {
    if (!fence.armed) fence.arm(pulse);
    await work();
    done = true;
  });
  return { done: () => done };
}

const REVERTED = "reverted without a reason";
const hashOf = (nonce: number): `0x${string}` => `0x${String(nonce).padStart(64, "0")}`;
const sent = (nonce: number): TxRecord => ({
  intent: { id: `intent ${nonce}`, to: `0x${"5".repeat(40)}`, data: "0x", gasFloor: 21_000n },
  state: "sent",
  settled: false,
  nonce,
  gas: 21_000n,
  attempts: [{ hash: hashOf(nonce), raw: "0x", maxFeePerGas: 1n, maxPriorityFeePerGas: 1n, cancels: false, at: new Date(0) }],
  minedHash: undefined,
  minedBlock: undefined,
  gasPaid: undefined,
  note: `held back, it would fail now: ${REVERTED}`,
  createdAt: new Date(0),
  updatedAt: new Date(0),
});

const answers = async (count: number): Promise<void> => {
  for (let passed = 0; passed < count; passed += 1) await clock.pass(ANSWER_MS);
};

test("a long line of transactions that are held back is gone through, however slowly the node answers", async () => {
  const { state, fence } = slowly(() => {
    throw new NodeFault({ code: 3, message: "execution reverted", data: undefined });
  });
  for (let nonce = 0; nonce < 20; nonce += 1) enter(state, sent(nonce)).resend = true;
  const run = watched(fence, () => resend(state, HEAD));
  await answers(25);
  expect([codes, run.done()]).toEqual([[], true]);
});

test("who used the nonces of a line is looked for in the blocks, however slowly the node answers", async () => {
  const line = [0, 1, 2];
  const { state, fence } = slowly((method, params) => {
    switch (method) {
      case "eth_blockNumber":
        return "0x3e8";
      case "eth_getTransactionCount":
        return params[1] === "latest" || Number(params[1]) >= 950 ? "0x3" : "0x0";
      case "eth_getBlockByNumber":
        return { transactions: line.map((nonce) => ({ from: WALLET.address, nonce: `0x${nonce}`, hash: hashOf(nonce) })) };
      default:
        // No receipt.
        return null;
    }
  });
  for (const nonce of line) enter(state, sent(nonce)).doubtedSinceMs = -60_000;
  const run = watched(fence, () => settle(state, HEAD));
  await answers(50);
  expect([codes, run.done(), foreign]).toEqual([[], true, []]);
});

test("a run that was given up while it read tells nobody of a foreign transaction", async () => {
  const { state, fence } = slowly(() => "0x5", BOUND_MS + ANSWER_MS);
  state.base = 0;
  let runs = 0;
  watched(fence, async () => {
    runs += 1;
    // The next run has a fence of its own.
    if (runs === 1) await settle(state, HEAD);
  });
  await clock.pass(BOUND_MS + ANSWER_MS);
  await clock.pass(ANSWER_MS);
  expect([codes, runs, foreign]).toEqual([["SVC-1501"], 2, []]);
});
