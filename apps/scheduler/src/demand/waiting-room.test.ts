import { ZERO_ADDRESS } from "@iexec-ts/poco";
import { systemClock } from "@iexec-ts/service";
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
