import { chainTime, type Hex, wei } from "@iexec-ts/poco";
import type { OutboxStore, TxIntent } from "../api.ts";

/** The two functions of a test runner that the suite needs; vitest and node:test with `expect` both fit. */
export interface ConformanceRunner {
  readonly test: (name: string, body: () => Promise<void>) => void;
  readonly expect: (value: unknown) => {
    toEqual(expected: unknown): void;
    toBe(expected: unknown): void;
    readonly rejects: { toMatchObject(expected: object): Promise<void> };
  };
}

export interface StoreUnderTest {
  readonly store: OutboxStore;
  /** A second store over the same data, as after a restart. */
  readonly reopenStore: () => Promise<OutboxStore>;
  readonly close: () => Promise<void>;
}

const AT = new Date("2026-01-02T03:04:05.678Z");
const LATER = new Date("2026-01-02T03:05:05.678Z");

const intent = (id: string): TxIntent => ({
  id,
  to: "0x00000000000000000000000000000000000000aa",
  data: "0x1234",
  value: wei(2n ** 200n),
  gasFloor: 100_000n,
  gasExtra: 7n,
  before: chainTime(1_800_000_000n),
});

const hashOf = (n: number): Hex => `0x${n.toString(16).padStart(64, "0")}`;
const attempt = (nonce: number, n: number, cancels = false) => ({
  nonce,
  gas: 123_456n,
  hash: hashOf(n),
  raw: `0x02f8${n.toString(16).padStart(4, "0")}` satisfies Hex,
  maxFeePerGas: 2n ** 70n + BigInt(n),
  maxPriorityFeePerGas: BigInt(n),
  at: AT,
  cancels,
});

/**
 * What every outbox store must do. Run it against each implementation:
 * `outboxConformance({ test, expect }, async () => ({ store, reopenStore, close }))`.
 */
export function outboxConformance({ test, expect }: ConformanceRunner, makeStore: () => Promise<StoreUnderTest>): void {
  const check = (name: string, body: (store: OutboxStore, reopenStore: () => Promise<OutboxStore>) => Promise<void>) =>
    test(name, async () => {
      const made = await makeStore();
      try {
        await body(made.store, made.reopenStore);
      } finally {
        await made.close();
      }
    });

  check("opens an intent once and gives the same record back", async (store) => {
    const first = await store.open(intent("a"), AT);
    expect(first).toEqual({
      intent: intent("a"),
      state: "waiting",
      nonce: undefined,
      gas: undefined,
      attempts: [],
      minedHash: undefined,
      minedBlock: undefined,
      gasPaid: undefined,
      settled: false,
      createdAt: AT,
      updatedAt: AT,
      note: undefined,
    });
    const again = await store.open({ ...intent("a"), data: "0xffff" }, LATER);
    expect(again).toEqual(first);
    expect(await store.get("a")).toEqual(first);
    expect(await store.get("b")).toBe(undefined);
  });

  check("keeps an intent without optional members without them", async (store) => {
    const plain: TxIntent = { id: "p", to: intent("p").to, data: "0x", gasFloor: 0n };
    expect((await store.open(plain, AT)).intent).toEqual(plain);
  });

  check("opens one record when many ask at once", async (store) => {
    await Promise.all(Array.from({ length: 10 }, () => store.open(intent("same"), AT)));
    expect((await store.list(20)).length).toBe(1);
  });

  check("keeps attempts in order, with nonce and gas of the first", async (store, reopenStore) => {
    await store.open(intent("a"), AT);
    await store.addAttempt("a", attempt(5, 1));
    await store.addAttempt("a", { ...attempt(5, 2, true), gas: 21_000n });
    await store.addAttempt("a", attempt(5, 1));
    for (const one of [store, await reopenStore()]) {
      const record = await one.get("a");
      expect(record?.state).toBe("sent");
      expect(record?.nonce).toBe(5);
      expect(record?.gas).toBe(123_456n);
      expect(record?.attempts.map(({ hash, cancels }) => [hash, cancels])).toEqual([
        [hashOf(1), false],
        [hashOf(2), true],
      ]);
      expect(record?.attempts[0]?.maxFeePerGas).toBe(2n ** 70n + 1n);
      expect(record?.attempts[0]?.at).toEqual(AT);
    }
  });

  check("gives no nonce to two records", async (store) => {
    await store.open(intent("a"), AT);
    await store.open(intent("b"), AT);
    await store.addAttempt("a", attempt(5, 1));
    await expect(store.addAttempt("b", attempt(5, 2))).rejects.toMatchObject({ code: "CHN-3006" });
    expect((await store.get("b"))?.attempts).toEqual([]);
    expect((await store.get("b"))?.state).toBe("waiting");
  });

  check("gives no second nonce to a record", async (store) => {
    await store.open(intent("a"), AT);
    await store.addAttempt("a", attempt(5, 1));
    await expect(store.addAttempt("a", attempt(6, 2))).rejects.toMatchObject({ code: "CHN-3006" });
    expect((await store.get("a"))?.attempts.map(({ hash }) => hash)).toEqual([hashOf(1)]);
  });

  check("refuses what arrives after a later change of the same record", async (store) => {
    await store.open(intent("a"), AT);
    await store.addAttempt("a", { ...attempt(5, 1), at: LATER });
    const before = await store.get("a");
    await expect(store.setState("a", "refused", { at: AT, settled: true })).rejects.toMatchObject({ code: "CHN-3010" });
    await expect(store.reopen("a", AT)).rejects.toMatchObject({ code: "CHN-3010" });
    await expect(store.addAttempt("a", attempt(5, 2))).rejects.toMatchObject({ code: "CHN-3010" });
    expect(await store.get("a")).toEqual(before);
  });

  check("keeps what a change leaves out, and forgets the block when a record is sent again", async (store) => {
    await store.open(intent("a"), AT);
    await store.addAttempt("a", attempt(5, 1));
    await store.setState("a", "mined", { at: LATER, minedHash: hashOf(1), minedBlock: 2n ** 60n, gasPaid: wei(99n), note: "first" });
    await store.setState("a", "final", { at: LATER, settled: true });
    const final = await store.get("a");
    expect([final?.state, final?.settled, final?.minedHash, final?.minedBlock, final?.gasPaid, final?.note, final?.updatedAt]).toEqual([
      "final",
      true,
      hashOf(1),
      2n ** 60n,
      99n,
      "first",
      LATER,
    ]);
    await store.setState("a", "sent", { at: LATER, note: null });
    const sent = await store.get("a");
    expect([sent?.state, sent?.settled, sent?.minedHash, sent?.minedBlock, sent?.gasPaid, sent?.note, sent?.nonce]).toEqual([
      "sent",
      false,
      undefined,
      undefined,
      undefined,
      undefined,
      5,
    ]);
  });

  check("lists unsettled records oldest first and all records newest first", async (store, reopenStore) => {
    for (const id of ["a", "b", "c"]) await store.open(intent(id), AT);
    await store.setState("b", "refused", { at: AT, settled: true });
    const restarted = await reopenStore();
    expect((await restarted.pending()).map(({ intent: { id } }) => id)).toEqual(["a", "c"]);
    expect((await restarted.list(2)).map(({ intent: { id } }) => id)).toEqual(["c", "b"]);
  });

  check("frees the nonce of a reopened record", async (store) => {
    await store.open(intent("a"), AT);
    await store.open(intent("b"), AT);
    await store.addAttempt("a", attempt(5, 1));
    expect(await store.highestNonce()).toBe(5);
    await store.setState("a", "sent", { at: AT, note: "why" });
    await store.reopen("a", LATER);
    const record = await store.get("a");
    expect([record?.state, record?.nonce, record?.gas, record?.attempts, record?.note]).toEqual([
      "waiting",
      undefined,
      undefined,
      [],
      undefined,
    ]);
    expect(await store.highestNonce()).toBe(undefined);
    await store.addAttempt("b", attempt(5, 2));
    await store.addAttempt("a", { ...attempt(6, 3), at: LATER });
    expect(await store.highestNonce()).toBe(6);
  });

  check("counts the nonces of settled records too", async (store) => {
    await store.open(intent("a"), AT);
    await store.addAttempt("a", attempt(9, 1));
    await store.setState("a", "final", { at: AT, settled: true });
    expect(await store.highestNonce()).toBe(9);
  });

  check("refuses changes of records that were never opened", async (store) => {
    await expect(store.setState("x", "mined", { at: AT })).rejects.toMatchObject({ code: "CHN-3009" });
    await expect(store.addAttempt("x", attempt(0, 1))).rejects.toMatchObject({ code: "CHN-3009" });
    await expect(store.reopen("x", AT)).rejects.toMatchObject({ code: "CHN-3009" });
  });
}
