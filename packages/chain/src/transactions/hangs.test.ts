import { setTimeout as delay } from "node:timers/promises";
import { wei } from "@iexec-ts/poco";
import { createWatchdog } from "@iexec-ts/service";
import { HandClock } from "@iexec-ts/testkit";
import fc from "fast-check";
import { parseTransaction } from "viem";
import { afterEach, expect, test } from "vitest";
import type { OutboxStore, RpcPool } from "../api.ts";
import { type ChainRig, intentOf, sinkBalance, startRig, untilRecord } from "../test/chain-rig.ts";

let rig: ChainRig;
afterEach(() => rig.close());

type Method = keyof OutboxStore;

/** A store of which the calls chosen by `hangs` never answer; `late`: they are carried out all the same, when `finish` is called. */
function hangingStore(inner: OutboxStore, hangs: (method: Method, count: number) => boolean) {
  const counts = new Map<Method, number>();
  const pending: (() => Promise<unknown>)[] = [];
  const through = async <T>(method: Method, call: () => Promise<T>): Promise<T> => {
    const count = (counts.get(method) ?? 0) + 1;
    counts.set(method, count);
    if (!hangs(method, count)) return call();
    const answer = Promise.withResolvers<T>();
    pending.push(() => call().then(answer.resolve, answer.reject));
    return answer.promise;
  };
  const store: OutboxStore = {
    open: (intent, at) => through("open", () => inner.open(intent, at)),
    get: (id) => through("get", () => inner.get(id)),
    pending: () => through("pending", () => inner.pending()),
    list: (limit) => inner.list(limit),
    addAttempt: (id, attempt) => through("addAttempt", () => inner.addAttempt(id, attempt)),
    setState: (id, state, change) => through("setState", () => inner.setState(id, state, change)),
    reopen: (id, at) => through("reopen", () => inner.reopen(id, at)),
    highestNonce: () => through("highestNonce", () => inner.highestNonce()),
  };
  return {
    store,
    hung: () => pending.length,
    finish: async () => {
      for (const call of pending.splice(0)) await call();
    },
  };
}

/** Every raw transaction that went out. */
function eavesdrop(pool: RpcPool): { readonly pool: RpcPool; readonly sent: `0x${string}`[] } {
  const sent: `0x${string}`[] = [];
  const heard: RpcPool = {
    get chainId() {
      return pool.chainId;
    },
    get client() {
      return pool.client;
    },
    head: () => pool.head(),
    onHead: (listener) => pool.onHead(listener),
    waitForBlock: (number, signal) => pool.waitForBlock(number, signal),
    waitForTime: (time, signal) => pool.waitForTime(time, signal),
    endpoints: () => pool.endpoints(),
    close: () => pool.close(),
    broadcast: (raw) => {
      sent.push(raw);
      return pool.broadcast(raw);
    },
  };
  return { pool: heard, sent };
}

/** The watchdog's time is the test's; the rounds keep the host's. */
function watched() {
  const clock = new HandClock();
  const watchdog = createWatchdog({ clock });
  const codes: string[] = [];
  watchdog.onStall(({ code }) => codes.push(code));
  return { clock, watchdog, codes };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5);
}

const BOUND_MS = 150_000;

test("a journal that hangs is told within its bound; the same bytes go out, once, under the same nonce", async () => {
  rig = await startRig();
  const { clock, watchdog, codes } = watched();
  const { store, hung, finish } = hangingStore(rig.store(), (method, count) => method === "addAttempt" && count === 1);
  const { pool, sent } = eavesdrop(rig.pool);
  const queue = await rig.queue({ store, pool }, { watchdog });
  const first = queue.submit(intentOf("a", { value: wei(1n) }));
  await until(() => hung() === 1);
  await clock.pass(BOUND_MS - 1);
  expect([codes, sent]).toEqual([[], []]);
  await clock.pass(1);
  expect(codes).toEqual(["SVC-1501"]);
  expect(await first).toMatchObject({ kind: "mined" });
  // What hung is carried out after all: it is known already, or too late.
  await finish();
  expect(await queue.submit(intentOf("b", { value: wei(1n) }))).toMatchObject({ kind: "mined" });
  const records = await queue.list();
  expect(records.map(({ attempts, nonce }) => [nonce, attempts.length])).toEqual([
    [1, 1],
    [0, 1],
  ]);
  expect(new Set(sent).size).toBe(2);
  expect(await sinkBalance(rig)).toBe(2n);
});

test.each(["as it is then", "as it was when it was asked for"])(
  "who joins an effect that a run which took over settles meanwhile has its outcome too: the record is read %s",
  async (read) => {
    rig = await startRig();
    const { clock, watchdog, codes } = watched();
    const inner = hangingStore(rig.store(), (method, count) => method === "addAttempt" && count === 1);
    const late = Promise.withResolvers<void>();
    let opened = 0;
    const open: OutboxStore["open"] = async (intent, at) => {
      opened += 1;
      if (opened === 1) return inner.store.open(intent, at);
      const then = await inner.store.open(intent, at);
      await late.promise;
      return read === "as it is then" ? inner.store.open(intent, at) : then;
    };
    const queue = await rig.queue({ store: { ...inner.store, open } }, { watchdog });
    const first = queue.submit(intentOf("a", { value: wei(1n) }));
    await until(() => inner.hung() === 1);
    const second = queue.submit(intentOf("a", { value: wei(1n) }));
    await clock.pass(BOUND_MS);
    expect(codes).toEqual(["SVC-1501"]);
    expect(await first).toMatchObject({ kind: "mined" });
    // Deep enough for the run to forget it.
    const settled = untilRecord(queue, "a", (record) => record.settled);
    for (let blocks = 0; blocks < 4; blocks += 1) await rig.mine();
    await settled;
    late.resolve();
    expect(await second).toMatchObject({ kind: "mined" });
    expect(await sinkBalance(rig)).toBe(1n);
  },
  20_000,
);

test("a journal whose answer is lost does not make the queue sign again", async () => {
  rig = await startRig();
  const inner = rig.store();
  let lost = 0;
  const store: OutboxStore = {
    ...inner,
    addAttempt: async (id, attempt) => {
      await inner.addAttempt(id, attempt);
      lost += 1;
      if (lost === 1) throw new Error("the connection to the store broke");
    },
  };
  const { pool, sent } = eavesdrop(rig.pool);
  const queue = await rig.queue({ store, pool });
  const both = await Promise.all(["a", "b"].map((id) => queue.submit(intentOf(id, { value: wei(1n) }))));
  expect(both.map(({ kind }) => kind)).toEqual(["mined", "mined"]);
  expect((await queue.list()).map(({ attempts }) => attempts.length)).toEqual([1, 1]);
  expect(new Set(sent.map((raw) => parseTransaction(raw).nonce)).size).toBe(new Set(sent).size);
  expect(await sinkBalance(rig)).toBe(2n);
});

test("a round that hangs does not hold what a person asks for, nor the close", async () => {
  rig = await startRig({ noMining: true });
  const { clock, watchdog } = watched();
  const { store, hung } = hangingStore(rig.store(), (method, count) => method === "setState" && count === 1);
  const queue = await rig.queue({ store }, { watchdog });
  const outcome = queue.submit(intentOf("a", { before: rig.pool.head().timestamp }));
  outcome.catch(() => undefined);
  await until(() => hung() === 1);
  const cancelled = queue.cancel("a");
  cancelled.catch(() => undefined);
  await clock.pass(BOUND_MS);
  await expect(cancelled).rejects.toMatchObject({ code: "SVC-1503" });
  expect(await outcome).toEqual({ kind: "expired" });
  let closed = false;
  void queue.close().then(() => {
    closed = true;
  });
  await until(() => closed);
});

test("a replacement whose journal hangs is the same replacement afterwards", async () => {
  rig = await startRig({ noMining: true });
  const { clock, watchdog, codes } = watched();
  const { store, hung, finish } = hangingStore(rig.store(), (method, count) => method === "addAttempt" && count === 2);
  const { pool, sent } = eavesdrop(rig.pool);
  const queue = await rig.queue({ store, pool }, { watchdog });
  const outcome = queue.submit(intentOf("a", { value: wei(1n) }));
  await until(() => sent.length === 1);
  const bumped = queue.bump("a");
  bumped.catch(() => undefined);
  await until(() => hung() === 1);
  await clock.pass(BOUND_MS);
  expect(codes).toEqual(["SVC-1501"]);
  await until(() => new Set(sent).size === 2);
  await rig.mine();
  await finish().catch(() => undefined);
  expect(await outcome).toMatchObject({ kind: "mined" });
  const [record] = await queue.list();
  expect(record?.attempts).toHaveLength(2);
  expect(new Set(sent).size).toBe(2);
  expect(await sinkBalance(rig)).toBe(1n);
});

test("wherever the store hangs, and whether the call is carried out late or never, each effect happens once", async () => {
  rig = await startRig();
  let run = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.constantFrom<Method>("addAttempt", "setState", "get", "pending"), fc.integer({ min: 1, max: 6 })), {
        minLength: 1,
        maxLength: 3,
      }),
      fc.boolean(),
      async (plan, carriedOut) => {
        run += 1;
        const { clock, watchdog } = watched();
        const { store, finish, hung } = hangingStore(rig.store(), (method, count) =>
          plan.some(([which, nth]) => which === method && nth === count),
        );
        const { pool, sent } = eavesdrop(rig.pool);
        const before = await sinkBalance(rig);
        const opening = rig.queue({ store, pool, finalDepth: 100 }, { watchdog });
        // Opening has no watch of its own: its caller has.
        while (!(await Promise.race([opening.then(() => true), delay(50).then(() => false)]))) if (hung() > 0) await finish();
        const queue = await opening;
        let open = 3;
        const outcomes = Promise.all(
          ["a", "b", "c"].map(async (id) => {
            const outcome = await queue.submit(intentOf(`${id}${run}`, { value: wei(1n) }));
            open -= 1;
            return outcome;
          }),
        );
        while (open > 0) {
          // Long enough for a round that does not hang.
          await delay(300);
          await clock.pass(BOUND_MS);
          if (carriedOut) await finish().catch(() => undefined);
        }
        expect((await outcomes).map(({ kind }) => kind)).toEqual(["mined", "mined", "mined"]);
        await finish().catch(() => undefined);
        await rig.mine();
        expect(await sinkBalance(rig)).toBe(before + 3n);
        const nonces = new Map<number, Set<string>>();
        for (const raw of sent) {
          const { nonce = 0, to } = parseTransaction(raw);
          nonces.set(nonce, (nonces.get(nonce) ?? new Set()).add(`${raw}${to}`));
        }
        // One nonce, one transaction: nothing here was ever replaced.
        for (const transactions of nonces.values()) expect(transactions.size).toBe(1);
        await queue.close();
      },
    ),
    { numRuns: 12 },
  );
}, 120_000);
