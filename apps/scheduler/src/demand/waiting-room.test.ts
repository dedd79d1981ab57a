import { ZERO_ADDRESS } from "@iexec-ts/poco";
import { CodedError, createWatchdog, systemClock } from "@iexec-ts/service";
import { afterEach, expect, test } from "vitest";
import type { Offer } from "./assign.ts";
import { createWaitingRoom } from "./waiting-room.ts";

const TASK = `0x${"11".repeat(32)}` as const;
const wallet = (n: number) => `0x${n.toString(16).padStart(40, "0")}` as const;
const offerFor = (to: `0x${string}`): Offer => ({
  kind: "assigned",
  assignment: {
    authorization: {
      chainTaskId: TASK,
      dealId: TASK,
      taskIndex: 0,
      workerWallet: to,
      enclaveChallenge: ZERO_ADDRESS,
      signature: { value: "0x" },
    },
    smsUrl: undefined,
  },
});

let over = new AbortController();
afterEach(() => {
  over.abort();
  over = new AbortController();
});

/** Work that only some can take. */
function pile(able: (to: `0x${string}`) => boolean) {
  let left = 0;
  const tried: string[] = [];
  const room = createWaitingRoom(
    async (to) => {
      tried.push(to);
      await Promise.resolve();
      if (left === 0 || !able(to)) return { kind: "nothing" };
      left -= 1;
      return offerFor(to);
    },
    { clock: systemClock, signal: over.signal },
  );
  return {
    room,
    tried,
    add(n: number) {
      left += n;
      for (let i = 0; i < n; i += 1) room.wake();
    },
  };
}
const never = new AbortController().signal;
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("first come, first served; one that cannot take it passes it on and keeps its place", async () => {
  const { room, add, tried } = pile((to) => to !== wallet(1));
  const asked = [1, 2, 3].map((n) => room.ask(wallet(n), 60_000, never));
  await settle();
  expect(room.waiting).toBe(3);
  tried.length = 0;
  add(1);
  expect(await asked[1]).toEqual(offerFor(wallet(2)));
  expect(tried).toEqual([wallet(1), wallet(2)]);
  await settle();
  expect(room.waiting).toBe(2);
});

test("without patience the answer comes at once", async () => {
  const { room } = pile(() => true);
  expect(await room.ask(wallet(1), 0, never)).toEqual({ kind: "nothing" });
});

test("those who leave are not served, and a new question replaces the old one", async () => {
  const { room, add } = pile(() => true);
  const gone = new AbortController();
  const left = room.ask(wallet(1), 60_000, gone.signal);
  const old = room.ask(wallet(2), 60_000, never);
  await settle();
  gone.abort();
  expect(await left).toEqual({ kind: "nothing" });
  const renewed = room.ask(wallet(2), 60_000, never);
  expect(await old).toEqual({ kind: "nothing" });
  await settle();
  add(1);
  expect(await renewed).toEqual(offerFor(wallet(2)));
});

test("patience ends", async () => {
  const { room } = pile(() => true);
  expect(await room.ask(wallet(1), 20, never)).toEqual({ kind: "nothing" });
  expect(room.waiting).toBe(0);
});

/** A room in which the tries of some never end until they are told to. */
function hanging(hangs: (to: string) => boolean, { assignMs = 60_000 } = {}) {
  const told: string[] = [];
  const watchdog = createWatchdog({ graceMs: 10 });
  watchdog.onStall((_, { loop }) => told.push(loop));
  const released = Promise.withResolvers<void>();
  let open = false;
  const given: AbortSignal[] = [];
  const room = createWaitingRoom(
    async (to, signal) => {
      if (open && hangs(to)) {
        given.push(signal);
        await released.promise;
      }
      return open && !hangs(to) ? offerFor(to) : { kind: "nothing" };
    },
    { clock: systemClock, signal: over.signal, watchdog, assignMs },
  );
  return {
    room,
    told,
    given,
    release: released.resolve,
    begin() {
      open = true;
      room.wake();
    },
  };
}

test("a try that never ends fails for the one who waits, and the work goes to the next", async () => {
  const { room, begin, given } = hanging((to) => to === wallet(1), { assignMs: 50 });
  const asked = [1, 2].map((n) => room.ask(wallet(n), 60_000, never).catch((thrown: unknown) => CodedError.from(thrown).code));
  await settle();
  begin();
  expect(await asked[0]).toBe("SCH-1305");
  expect(await asked[1]).toEqual(offerFor(wallet(2)));
  expect(given.every(({ aborted }) => aborted)).toBe(true);
  expect(room.waiting).toBe(0);
});

test("a direct question does not wait for ever either", async () => {
  const { room, begin } = hanging(() => true, { assignMs: 50 });
  begin();
  await expect(room.ask(wallet(1), 0, never)).rejects.toMatchObject({ code: "SCH-1305" });
});

test("one who leaves during his try does not come back into the line", async () => {
  const { room, begin, release } = hanging(() => true);
  const gone = new AbortController();
  const left = room.ask(wallet(1), 60_000, gone.signal);
  await settle();
  begin();
  await settle();
  gone.abort();
  await settle();
  release();
  expect(await left).toEqual({ kind: "nothing" });
  expect(room.waiting).toBe(0);
});

test("one who asks anew during his try has both questions answered", async () => {
  const { room, begin, release } = hanging(() => true);
  const old = room.ask(wallet(1), 60_000, never);
  await settle();
  begin();
  await settle();
  const renewed = room.ask(wallet(1), 30, never);
  release();
  expect(await old).toEqual({ kind: "nothing" });
  expect(await renewed).toEqual({ kind: "nothing" });
});
