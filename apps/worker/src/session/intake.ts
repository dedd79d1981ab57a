import type { Hub } from "@iexec-ts/chain";
import { type Address, authorizationSigner, chainTime, dealDeadlines, sameHex, teeFrameworkOf } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import type { Assignment } from "@iexec-ts/wire";
import type { Journal } from "../replicate/journal.ts";
import type { Replicate } from "../replicate/replicate.ts";

/**
 * Takes a task the scheduler offers into the journal, after checking on chain that it may be ours.
 *
 * SIDE EFFECTS: writes the journal. A task this worker cannot run is recorded as FAILED with its cause, so that the scheduler learns it.
 * Errors: WRK-1306 (not signed by the workerpool's owner), WRK-1314 (made out to somebody else), WRK-1310 (deal not readable).
 * @source chain.md 19: the deal freezes the workerpool's owner
 */
export async function takeIn(
  assignment: Assignment,
  deps: { readonly hub: Hub; readonly journal: Journal; readonly worker: Address; readonly workerpool: Address },
): Promise<Replicate> {
  const { authorization } = assignment;
  const taskId = authorization.chainTaskId;
  const { hub, journal, worker, workerpool } = deps;
  if (!sameHex(authorization.workerWallet, worker)) {
    throw new CodedError("WRK-1314", { taskId, holder: authorization.workerWallet });
  }
  const deal = await hub.deal(authorization.dealId);
  if (deal === undefined) throw new CodedError("WRK-1310", { taskId, dealId: authorization.dealId });
  const signer = await authorizationSigner(authorization);
  const ours = sameHex(deal.workerpool.pointer, workerpool);
  if (!ours || signer === undefined || !sameHex(signer, deal.workerpool.owner)) {
    throw new CodedError("WRK-1306", { taskId, workerpool: deal.workerpool.pointer });
  }
  const category = await hub.category(deal.category);
  if (category === undefined) throw new CodedError("WRK-1310", { taskId, dealId: deal.id });

  const { replicate, known } = journal.open({
    authorization,
    smsUrl: assignment.smsUrl,
    stake: deal.workerStake,
    finalDeadline: dealDeadlines(chainTime(deal.startTime), category.period).final,
  });
  const framework = teeFrameworkOf(deal.tag);
  if (!known && framework !== undefined) {
    return journal.record(taskId, "FAILED", {
      cause: "TEE_NOT_SUPPORTED",
      details: { errorMessage: new CodedError("WRK-1307", { taskId, framework }).message },
    });
  }
  return replicate;
}
