import type { Head } from "../api.ts";
import { raiseFees } from "../fees/fee-policy.ts";
import { whyItWouldFail } from "./dispatch.ts";
import { commitment, type Entry, newestAttempt } from "./entry.ts";
import { journal } from "./journal.ts";
import type { QueueState } from "./queue-state.ts";
import { feesOf, signAttempt } from "./sign-attempt.ts";
import { simulate } from "./simulate.ts";
import { verdictOf } from "./verdict.ts";

const CANCEL_GAS = 21_000n;

/**
 * Looks after what has been sent but is not mined: cancels what has become pointless, replaces the front of the line when it is stuck.
 *
 * SIDE EFFECTS: writes the outbox, then sends.
 */
export async function urge(state: QueueState, head: Head): Promise<void> {
  const sent = state.line().filter(({ record }) => record.state === "sent");
  const front = sent[0];
  if (front !== undefined && front !== state.front) state.touch(front, head);
  state.front = front;
  for (const entry of sent) {
    state.step();
    const { before } = entry.record.intent;
    const late = before !== undefined && head.timestamp >= before && newestAttempt(entry.record)?.cancels === false;
    if (late && (!entry.cancelTried || isStuck(state, entry, head))) {
      entry.cancelTried = true;
      await replaceOrRepeat(state, entry, head, true);
    }
  }
  state.step();
  if (front === undefined) return;
  if (isStuck(state, front, head)) {
    for (const other of sent) other.resend = other !== front;
    await unstick(state, front, head, sent.length > 1 || state.waiting().length > 0);
  }
  state.alarm(Math.max(1, front.sinceMs + state.parts.settings.stuckAfterMs - state.now));
}

/** A call that would fail is not made dearer: it keeps waiting for its time, and gives its nonce up only when others wait behind it. */
async function unstick(state: QueueState, front: Entry, head: Head, othersWait: boolean): Promise<void> {
  const cancels = newestAttempt(front.record)?.cancels === true;
  const obstacle = cancels ? undefined : await whyItWouldFail(state, front);
  if (obstacle === undefined || othersWait) return replaceOrRepeat(state, front, head, cancels || obstacle !== undefined);
  front.resend = true;
  state.touch(front, head);
  await state.note(front, `held back, it would fail now: ${obstacle}`);
}

function isStuck(state: QueueState, entry: Entry, head: Head): boolean {
  const { stuckAfterBlocks, stuckAfterMs } = state.parts.settings;
  return head.number - entry.sinceBlock >= stuckAfterBlocks || state.now - entry.sinceMs >= stuckAfterMs;
}

async function replaceOrRepeat(state: QueueState, entry: Entry, head: Head, cancels: boolean): Promise<void> {
  const reason = await replace(state, entry, head, cancels);
  if (reason === undefined) return;
  entry.resend = true;
  state.touch(entry, head);
  state.parts.logger.warn("a stuck transaction cannot be replaced; sending it again as it is", { id: entry.id, reason });
  await state.note(entry, `stuck: ${reason}`);
}

/**
 * Signs another attempt for the same nonce, with fees at least 12.5 % higher and within the cap.
 *
 * @returns why not, or undefined when it was journalled and sent
 * SIDE EFFECTS: writes the outbox, then sends.
 */
export async function replace(state: QueueState, entry: Entry, head: Head, cancels: boolean): Promise<string | undefined> {
  const { record } = entry;
  const { account, pool, clock, settings, checkpoint } = state.parts;
  const previous = newestAttempt(record);
  const { nonce, gas, intent } = record;
  if (previous === undefined || nonce === undefined || gas === undefined) return "it was never sent";
  state.step();
  const offer = await state.offer(head, intent);
  if (offer.kind === "wait") return `the base fee of ${offer.baseFee} wei is above the cap of ${offer.cap}`;
  const fees = raiseFees(feesOf(previous), offer.fees, settings.policy);
  if (fees === undefined) return `another 12.5 % is above the cap of ${settings.policy.cap} wei per gas`;

  const content = cancels ? await cancellation(state) : { to: intent.to, data: intent.data, value: intent.value ?? 0n, gas };
  if (content === undefined) return "the wallet cannot send to itself";
  state.step();
  const others = state.line().reduce((sum, other) => (other === entry ? sum : sum + commitment(other)), 0n);
  const balance = await state.client.getBalance({ address: account.address, blockTag: "latest" });
  if (content.gas * fees.maxFeePerGas + content.value + others > balance) return "the wallet cannot pay for it";

  const attempt = await signAttempt(account, { chainId: pool.chainId, nonce, fees, cancels, ...content }, clock);
  await journal(state, entry, { ...attempt, nonce, gas: content.gas });
  state.touch(entry, head);
  checkpoint("tx-journalled", entry.id);
  const verdict = verdictOf(await pool.broadcast(attempt.raw));
  checkpoint("tx-broadcast", entry.id);
  entry.resend = verdict.kind !== "out" && verdict.kind !== "nonce-too-low";
  await state.note(entry, cancels ? "being cancelled" : undefined);
  return undefined;
}

async function cancellation(state: QueueState) {
  const to = state.parts.account.address;
  const simulation = await simulate(state.client, to, { to, data: "0x", gasFloor: CANCEL_GAS });
  return simulation.kind === "passes" ? ({ to, data: "0x", value: 0n, gas: simulation.gas } as const) : undefined;
}
