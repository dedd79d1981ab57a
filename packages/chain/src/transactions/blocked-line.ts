import { CodedError } from "@iexec-ts/service";
import type { Head } from "../api.ts";
import type { QueueState } from "./queue-state.ts";

/**
 * - `free`: sign on
 * - `hold`: the chain shows fewer transactions than our final ones: the node is behind, sign nothing yet
 * - `gap`: a nonce below our line is free for too long (a foreign transaction was undone): somebody must use it
 */
export type LineState = { readonly kind: "free" | "hold" | "gap" } | { readonly kind: "fault"; readonly error: CodedError };

/** Compares the wallet's transaction count with our line of nonces. A mismatch is given time before anything is concluded from it. */
export function lineState(state: QueueState, head: Head): LineState {
  const { latest, base } = state;
  if (latest === undefined) return { kind: "hold" };
  const lowest = state.line()[0]?.record.nonce;
  const behind = base !== undefined && latest < base && (lowest === undefined || latest < lowest);
  const gap = !behind && lowest !== undefined && latest < lowest;
  if (!behind && !gap) {
    state.blocked = undefined;
    return { kind: "free" };
  }
  const blocked = state.blocked ?? { sinceBlock: head.number, sinceMs: state.now };
  state.blocked = blocked;
  const { stuckAfterBlocks, stuckAfterMs } = state.parts.settings;
  const waitedMs = state.now - blocked.sinceMs;
  state.alarm(waitedMs < stuckAfterMs ? stuckAfterMs - waitedMs : stuckAfterMs);
  if (gap) return { kind: head.number - blocked.sinceBlock >= stuckAfterBlocks || waitedMs >= stuckAfterMs ? "gap" : "free" };
  if (waitedMs < stuckAfterMs) return { kind: "hold" };
  const ours = Math.max(0, (base ?? 0) - 1);
  return { kind: "fault", error: new CodedError("CHN-3005", { latest, ours, address: state.parts.account.address }) };
}
