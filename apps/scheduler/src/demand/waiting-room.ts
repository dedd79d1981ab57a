import type { Address } from "@iexec-ts/poco";
import { type Clock, CodedError, createWatchdog, openScope, orAborted, type Pulse, type Watchdog } from "@iexec-ts/service";
import { Bell } from "../bell.ts";
import type { Offer } from "./assign.ts";

/** Immediate tries of one question while work keeps appearing that others take. */
const MAX_TRIES = 3;
/** Longest that one try may take: a few reads of the chain and one transaction. */
const ASSIGN_MS = 20_000;
/** Tries in a row that fail before the rest of the line is left alone: then it is not the one who waits. */
const MAX_FAILURES = 3;
const IDLE_MS = 60_000;
const BOUND_MS = 2 * 60_000;

const NOTHING: Offer = { kind: "nothing" };

interface Waiter {
  readonly wallet: Address;
  /** Aborts when nobody waits for the answer any more. */
  readonly gone: AbortSignal;
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
 * work to the next, so one new replicate costs as many tries as there are workers that cannot do it, not as many as wait. A try that stands
 * still fails for the one who waits, and the call goes on along the line.
 *
 * SIDE EFFECTS: calls `assign`; a loop until the signal.
 */
export function createWaitingRoom(
  assign: (wallet: Address, signal: AbortSignal) => Promise<Offer>,
  deps: {
    readonly clock: Clock;
    readonly signal: AbortSignal;
    readonly watchdog?: Watchdog;
    /** Longest that one try may take, in milliseconds. @default 20000 */
    readonly assignMs?: number;
  },
): WaitingRoom {
  const { clock, signal: closing, watchdog = createWatchdog({ clock }), assignMs = ASSIGN_MS } = deps;
  const line = new Map<Address, Waiter>();
  const bell = new Bell(clock);
  let epoch = 0;
  let calls = 0;

  /** One try. Errors: SCH-1305 when it takes too long; what it still writes then is refused. */
  const attempt = async (wallet: Address): Promise<Offer> => {
    const reason = (): CodedError => new CodedError("SCH-1305", { wallet, seconds: Math.round(assignMs / 1_000) });
    using patience = openScope([], { ms: assignMs, clock, reason });
    return await orAborted(assign(wallet, patience.signal), patience.signal);
  };

  /** One pass along the line. Those who join while it runs were tried when they joined. */
  const pass = async (pulse: Pulse): Promise<void> => {
    let failures = 0;
    for (const waiter of [...line.values()]) {
      if (pulse.signal.aborted || failures === MAX_FAILURES) return;
      if (line.get(waiter.wallet) !== waiter) continue;
      pulse.beat();
      line.delete(waiter.wallet);
      try {
        const offer = await attempt(waiter.wallet);
        failures = 0;
        if (offer.kind === "assigned") {
          waiter.settle(offer);
          return;
        }
        // One who left or asked anew during the try does not come back into the line: nobody would take it out again.
        if (waiter.gone.aborted || line.has(waiter.wallet)) waiter.settle(NOTHING);
        else line.set(waiter.wallet, waiter);
      } catch (thrown) {
        failures += 1;
        waiter.fail(thrown);
      }
    }
  };

  void watchdog.keep({ loop: "demand", boundMs: BOUND_MS, signal: closing }, async (pulse) => {
    while (!pulse.signal.aborted) {
      pulse.beat();
      if (calls === 0) await bell.wait(IDLE_MS, pulse.signal);
      if (calls === 0 || pulse.signal.aborted) continue;
      calls -= 1;
      await pass(pulse);
    }
  });

  const room: WaitingRoom = {
    get waiting() {
      return line.size;
    },
    wake() {
      epoch += 1;
      calls = Math.min(calls + 1, line.size + 1);
      bell.ring();
    },
    async ask(wallet, waitMs, signal) {
      line.get(wallet)?.settle(NOTHING);
      line.delete(wallet);
      let seen = epoch;
      // Bounded: ends after three tries, each of which has its own limit.
      for (let tries = 1; ; tries += 1) {
        if (signal.aborted) return NOTHING;
        const offer = await attempt(wallet);
        if (offer.kind === "assigned" || waitMs <= 0) return offer;
        // Work that appeared during the try is not missed: there is no pause between this check and joining the line.
        if (seen === epoch || tries === MAX_TRIES) break;
        seen = epoch;
      }
      if (signal.aborted) return NOTHING;
      using stay = openScope([signal], { ms: waitMs, clock });
      const { promise, resolve, reject } = Promise.withResolvers<Offer>();
      // An older question of the same worker may have come back into the line during our try.
      line.get(wallet)?.settle(NOTHING);
      const waiter: Waiter = { wallet, gone: stay.signal, settle: resolve, fail: reject };
      line.set(wallet, waiter);
      if (seen !== epoch) room.wake();
      const leave = (): void => {
        // During a try the answer is that of the try.
        if (line.get(wallet) !== waiter) return;
        line.delete(wallet);
        resolve(NOTHING);
      };
      stay.signal.addEventListener("abort", leave, { once: true });
      return await promise;
    },
  };
  return room;
}
