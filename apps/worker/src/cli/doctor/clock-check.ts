import type { Clock } from "@iexec-ts/service";
import { openScope } from "@iexec-ts/service";
import { span } from "../view/time.ts";
import { failed, type Outcome, pass, warn } from "./check.ts";

const MAX_SKEW_MS = 30_000;
/** Twice the slowest block time: an old head on a chain that makes blocks only when asked is no fault of the clock. */
const OLD_HEAD_MS = 60_000;
const ASK_MS = 5_000;
const FIX = "set this machine's clock: sudo timedatectl set-ntp true";
const WHY = "log times and deadlines of containers would be wrong";

/** How far somebody else's clock is ahead of this machine's; behind when negative. */
interface ClockSight {
  readonly who: string;
  readonly aheadMs: number;
}

/**
 * What the Date header of a server says, to about a second; undefined when it says nothing.
 *
 * SIDE EFFECTS: one request.
 */
export async function askTime(
  who: string,
  url: string,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Promise<ClockSight | undefined> {
  const asked = clock.now().getTime();
  using limit = openScope([signal], { ms: ASK_MS });
  try {
    const answer = await fetch(url, { redirect: "manual", signal: limit.signal });
    await answer.body?.cancel();
    const theirs = Date.parse(answer.headers.get("date") ?? "");
    return Number.isNaN(theirs) ? undefined : { who, aheadMs: theirs - (asked + clock.now().getTime()) / 2 };
  } catch {
    // Other checks say what is wrong with it.
    signal.throwIfAborted();
    return undefined;
  }
}

const apart = (ms: number): string => `${span(Math.abs(ms))} ${ms > 0 ? "behind" : "ahead of"}`;

/**
 * Whether this clock is right: everybody against us is our fault, one against the others is theirs, and a block of the future is ours.
 *
 * @param headAheadMs - time of the newest block minus ours
 */
export function judgeClock(sights: readonly ClockSight[], headAheadMs: number): Outcome {
  const off = sights.filter(({ aheadMs }) => Math.abs(aheadMs) > MAX_SKEW_MS);
  const [first] = off;
  const names = off.map(({ who }) => who).join(" and ");
  const agree = off.every(({ aheadMs }) => Math.abs(aheadMs - (first?.aheadMs ?? 0)) <= MAX_SKEW_MS);
  if (headAheadMs > MAX_SKEW_MS) return failed(`the newest block is ${span(headAheadMs)} in the future of this clock`, FIX, WHY);
  if (first !== undefined && off.length === sights.length && agree)
    return failed(`this clock is ${apart(first.aheadMs)} that of ${names}`, FIX, WHY);
  if (first !== undefined)
    return warn(
      `${off.map(({ who, aheadMs }) => `this clock is ${apart(aheadMs)} that of ${who}`).join("; ")}; the others agree with this machine`,
      `tell the operator of ${names}`,
      "one clock alone is wrong, and it is not this one",
    );
  if (sights.length === 0 && -headAheadMs > OLD_HEAD_MS)
    return pass(`the newest block is ${span(-headAheadMs)} old: either the chain is quiet or this clock is ahead`);
  const seen = sights.map(({ who }) => who);
  return pass(`agrees with ${[...seen, ...(Math.abs(headAheadMs) <= OLD_HEAD_MS ? ["the newest block"] : [])].join(" and ")}`);
}
