import type { Address } from "@iexec-ts/poco";
import type { Clock } from "@iexec-ts/service";
import type { Offer } from "./assign.ts";

/** Immediate tries of one question while work keeps appearing that others take. */
const MAX_TRIES = 3;

interface Waiter {
  readonly wallet: Address;
  readonly settle: (offer: Offer) => void;
  readonly fail: (thrown: unknown) => void;
}

export interface WaitingRoom {
  /** Asks for work; without any, waits up to `waitMs` for some to appear. */
  ask(wallet: Address, waitMs: number, signal: AbortSignal): Promise<Offer>;
  /** Work may have appeared: those who wait are tried in turn until one takes it. */
  wake(): void;
  readonly waiting: number;
}

/**
 * Workers that asked while there was nothing to do, first come first served. A call is passed along the line from one that cannot take the
 * work to the next, so one new replicate costs as many tries as there are workers that cannot do it, not as many as wait.
 */
export function createWaitingRoom(
  assign: (wallet: Address) => Promise<Offer>,
  deps: { readonly clock: Clock; readonly onError: (thrown: unknown) => void },
): WaitingRoom {
  const line = new Map<Address, Waiter>();
  let epoch = 0;
  let calls = 0;
  let calling = false;

  /** One pass along the line. Those who join while it runs were tried when they joined. */
  const pass = async (): Promise<void> => {
    for (const waiter of [...line.values()]) {
      if (line.get(waiter.wallet) !== waiter) continue;
      line.delete(waiter.wallet);
      try {
        const offer = await assign(waiter.wallet);
        if (offer.kind === "assigned") {
          waiter.settle(offer);
          return;
        }
        if (!line.has(waiter.wallet)) line.set(waiter.wallet, waiter);
      } catch (thrown) {
        waiter.fail(thrown);
        return;
      }
    }
  };

  const call = async (): Promise<void> => {
    if (calling) return;
    calling = true;
    try {
      while (calls > 0) {
        calls -= 1;
        await pass();
      }
    } catch (thrown) {
      deps.onError(thrown);
    } finally {
      calling = false;
    }
  };

  const room: WaitingRoom = {
    get waiting() {
      return line.size;
    },
    wake() {
      epoch += 1;
      calls = Math.min(calls + 1, line.size + 1);
      void call();
    },
    async ask(wallet, waitMs, signal) {
      const nothing: Offer = { kind: "nothing" };
      line.get(wallet)?.settle(nothing);
      line.delete(wallet);
      let seen = epoch;
      for (let tries = 1; ; tries += 1) {
        if (signal.aborted) return nothing;
        const offer = await assign(wallet);
        if (offer.kind === "assigned" || waitMs <= 0) return offer;
        // Work that appeared during the try is not missed: there is no pause between this check and joining the line.
        if (seen === epoch || tries === MAX_TRIES) break;
        seen = epoch;
      }
      const { promise, resolve, reject } = Promise.withResolvers<Offer>();
      const waiter: Waiter = { wallet, settle: resolve, fail: reject };
      line.set(wallet, waiter);
      if (seen !== epoch) room.wake();
      const leave = (): void => {
        if (line.get(wallet) !== waiter) return;
        line.delete(wallet);
        resolve(nothing);
      };
      const over = new AbortController();
      const ended = AbortSignal.any([signal, over.signal]);
      deps.clock.sleep(waitMs, ended).then(leave, leave);
      try {
        return await promise;
      } finally {
        over.abort();
      }
    },
  };
  return room;
}
