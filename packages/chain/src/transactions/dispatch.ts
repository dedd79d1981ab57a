import { type Wei, wei } from "@iexec-ts/poco";
import type { Head } from "../api.ts";
import type { Fees } from "../fees/fee-policy.ts";
import { commitment, type Entry, newestAttempt } from "./entry.ts";
import { journal } from "./journal.ts";
import { mapBounded } from "./map-bounded.ts";
import type { QueueState } from "./queue-state.ts";
import { signAttempt } from "./sign-attempt.ts";
import { type Simulation, simulate } from "./simulate.ts";
import { type Verdict, verdictOf } from "./verdict.ts";

const PARALLEL_SIMULATIONS = 8;

/**
 * Signs and sends what waits: price, simulation, balance, nonce, journal, broadcast, in this order, one nonce after the other.
 *
 * SIDE EFFECTS: writes the outbox, then sends. Returns whether anything went out.
 */
export async function dispatch(state: QueueState, head: Head): Promise<boolean> {
  const priced: { readonly entry: Entry; readonly fees: Fees }[] = [];
  for (const entry of state.waiting()) {
    state.step();
    const { before } = entry.record.intent;
    if (before !== undefined && head.timestamp >= before) await state.finish(entry, "expired", { kind: "expired" });
    else {
      const offer = await state.offer(head, entry.record.intent);
      if (offer.kind === "offer") priced.push({ entry, fees: offer.fees });
      else await state.note(entry, `gas price above the cap: the block asks ${offer.baseFee} wei per gas, the cap is ${offer.cap}`);
    }
  }
  if (priced.length === 0) return false;

  const from = state.parts.account.address;
  const simulated = await mapBounded(priced, PARALLEL_SIMULATIONS, async ({ entry, fees }) => ({
    entry,
    fees,
    simulation: await attempt(() => simulate(state.client, from, entry.record.intent)).finally(() => state.beat()),
  }));
  const balance = wei(await state.client.getBalance({ address: from, blockTag: "latest" }));
  let sent = false;
  let failure: unknown;
  for (const { entry, fees, simulation } of simulated) {
    state.step();
    if ("error" in simulation) failure ??= simulation.error;
    else if (await start(state, entry, { fees, simulation: simulation.value, balance, head })) sent = true;
  }
  if (failure !== undefined) throw failure;
  return sent;
}

interface Ready {
  readonly fees: Fees;
  readonly simulation: Simulation;
  readonly balance: Wei;
  readonly head: Head;
}

async function start(state: QueueState, entry: Entry, { fees, simulation, balance, head }: Ready): Promise<boolean> {
  const { maxGas } = state.parts.settings;
  if (simulation.kind === "refused") {
    await state.finish(entry, "refused", { kind: "refused", reason: simulation.reason }, simulation.reason);
    return false;
  }
  const { gas } = simulation;
  if (gas > maxGas) {
    const reason = `needs ${gas} gas, more than the limit of ${maxGas}`;
    await state.finish(entry, "refused", { kind: "refused", reason }, reason);
    return false;
  }
  const needed = gas * fees.maxFeePerGas + (entry.record.intent.value ?? 0n);
  const inFlight = state.line().reduce((sum, other) => sum + commitment(other), 0n);
  if (needed > 0n && needed + inFlight > balance) {
    if (needed <= balance) await state.note(entry, "the wallet's balance is reserved by transactions on their way");
    else await outOfGas(state, entry, wei(needed), balance);
    return false;
  }
  await sign(state, entry, { gas, fees, head });
  return true;
}

/** Nonce, signature, journal, broadcast: from here on the effect may happen. */
async function sign(
  state: QueueState,
  entry: Entry,
  send: { readonly gas: bigint; readonly fees: Fees; readonly head: Head },
): Promise<void> {
  const { account, pool, clock, checkpoint } = state.parts;
  const { to, data, value = 0n } = entry.record.intent;
  const { gas, fees, head } = send;
  const nonce = state.nextNonce();
  const attempt = await signAttempt(account, { chainId: pool.chainId, nonce, gas, to, data, value, fees, cancels: false }, clock);
  await journal(state, entry, { ...attempt, nonce, gas });
  await state.note(entry, undefined);
  state.touch(entry, head);
  checkpoint("tx-journalled", entry.id);
  const verdict = verdictOf(await pool.broadcast(attempt.raw));
  checkpoint("tx-broadcast", entry.id);
  await judgeFirst(state, entry, verdict, wei(gas * fees.maxFeePerGas + value));
}

/** A first attempt that every node refuses for good frees its nonce: it is the last of the line, nothing was built on it. */
async function judgeFirst(state: QueueState, entry: Entry, verdict: Verdict, needed: Wei): Promise<void> {
  switch (verdict.kind) {
    case "out":
      return;
    case "unknown":
      entry.resend = true;
      return state.alarm(RESEND_MS);
    case "insufficient-funds": {
      const balance = wei(await state.client.getBalance({ address: state.parts.account.address, blockTag: "latest" }));
      await state.reopen(entry);
      return outOfGas(state, entry, needed, balance);
    }
    case "fee-below-base":
      return state.reopen(entry, "the base fee rose above the offer");
    case "intrinsic-gas":
      await state.reopen(entry);
      return state.finish(entry, "refused", { kind: "refused", reason: verdict.message }, verdict.message);
    case "nonce-too-low":
    case "underpriced":
      // Somebody else holds this nonce, or the node is a block ahead of us: the next look at the chain tells.
      return state.alarm(RESEND_MS);
    case "other":
      entry.resend = true;
      await state.note(entry, `nodes refuse it for now: ${verdict.message}`);
      return state.alarm(RESEND_MS);
  }
}

const RESEND_MS = 1_000;

async function outOfGas(state: QueueState, entry: Entry, needed: Wei, balance: Wei): Promise<void> {
  await state.finish(
    entry,
    "refused",
    { kind: "out-of-gas", needed, balance },
    `out of gas: needs ${needed} wei, the wallet holds ${balance}`,
  );
}

/**
 * Sends the same bytes again, in the order of nonces: after a restart, a reorg, or when no node may have them. Any attempt may win, so the
 * older ones are tried when the newest is refused. What would fail on the newest block is held back: a reorganisation may have undone what
 * it builds on as well, and that comes back.
 *
 * SIDE EFFECTS: sends; writes notes.
 */
export async function resend(state: QueueState, head: Head): Promise<void> {
  for (const entry of state.line()) {
    state.step();
    if (!entry.resend || entry.record.state !== "sent") continue;
    const { before } = entry.record.intent;
    const cancels = newestAttempt(entry.record)?.cancels === true;
    // Too late: it is about to be cancelled.
    if (!cancels && before !== undefined && head.timestamp >= before) continue;
    const obstacle = cancels ? undefined : await whyItWouldFail(state, entry);
    if (obstacle !== undefined) {
      await state.note(entry, `held back, it would fail now: ${obstacle}`);
      state.alarm(RESEND_MS);
      continue;
    }
    let last: Verdict = { kind: "unknown" };
    for (const { raw } of [...entry.record.attempts].reverse()) {
      last = verdictOf(await state.parts.pool.broadcast(raw));
      state.parts.checkpoint("tx-broadcast", entry.id);
      if (last.kind === "out" || last.kind === "nonce-too-low") break;
    }
    entry.resend = last.kind !== "out" && last.kind !== "nonce-too-low";
    if (!entry.resend) {
      if (last.kind === "out") await state.note(entry, undefined);
      continue;
    }
    if (last.kind !== "unknown") await state.note(entry, `nodes refuse it for now: ${last.kind}`);
    state.alarm(RESEND_MS);
  }
}

/** Why the call of an entry would fail on the newest block; undefined when it would not. */
export async function whyItWouldFail(state: QueueState, entry: Entry): Promise<string | undefined> {
  const simulation = await simulate(state.client, state.parts.account.address, entry.record.intent);
  return simulation.kind === "refused" ? simulation.reason : undefined;
}

async function attempt<T>(work: () => Promise<T>): Promise<{ readonly value: T } | { readonly error: unknown }> {
  try {
    return { value: await work() };
  } catch (error) {
    return { error };
  }
}
