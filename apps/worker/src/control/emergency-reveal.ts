import type { Hub, TxOutcome, TxQueue } from "@iexec-ts/chain";
import { type Address, HUB_ABI, revealVerdict, type TaskId } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { encodeFunctionData } from "viem";
import { REVEAL_GAS } from "../replicate/gas-reserve.ts";
import type { Journal } from "../replicate/journal.ts";

export interface Revealed {
  /** Undefined when it was revealed before. */
  readonly outcome: Extract<TxOutcome, { kind: "mined" }> | undefined;
}

/**
 * Reveals from the journal and one node alone, without waiting for confirmations of the consensus. The transaction is the same one the
 * worker itself would send, so both together send one.
 *
 * Errors: WRK-1304 the journal holds no contribution, WRK-1522 the chain does not want it (any more), WRK-1523 it did not succeed.
 * SIDE EFFECTS: sends at most one transaction.
 * @source IexecPoco2.reveal
 */
export async function revealNow(
  taskId: TaskId,
  ports: { readonly journal: Journal; readonly hub: Hub; readonly queue: TxQueue; readonly worker: Address },
  signal: AbortSignal,
): Promise<Revealed> {
  const { journal, hub, queue, worker } = ports;
  const contribution = journal.contribution(taskId);
  if (contribution === undefined) throw new CodedError("WRK-1304", { taskId });
  const chain = await hub.observe(taskId, worker);
  if (chain.ours.status === "PROVED") return { outcome: undefined };
  const verdict = revealVerdict(chain, worker, contribution.digest);
  if (chain.task === undefined || !("can" in verdict)) {
    const reason =
      "wait" in verdict ? "there is no consensus yet" : "because" in verdict ? String(verdict.because) : "the chain does not want it";
    throw new CodedError("WRK-1522", { taskId, what: "revealed now", reason });
  }
  const outcome = await queue.submit(
    {
      id: `reveal:${taskId}`,
      to: hub.configuration.address,
      data: encodeFunctionData({ abi: HUB_ABI, functionName: "reveal", args: [taskId, contribution.digest] }),
      gasFloor: REVEAL_GAS,
      before: chain.task.revealDeadline,
    },
    signal,
  );
  if (outcome.kind === "mined") return { outcome };
  throw new CodedError("WRK-1523", { taskId, outcome: outcome.kind, reason: reasonOf(outcome) });
}

function reasonOf(outcome: Exclude<TxOutcome, { kind: "mined" }>): string {
  if (outcome.kind === "refused") return outcome.reason;
  if (outcome.kind === "reverted") return `reverted in ${outcome.hash}`;
  if (outcome.kind === "out-of-gas") return `the wallet holds ${outcome.balance} wei and needs ${outcome.needed} wei for gas`;
  return "the reveal deadline passed, or the transaction was cancelled";
}
