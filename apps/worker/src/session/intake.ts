import type { Hub } from "@iexec-ts/chain";
import { type Address, authorizationSigner, chainTime, dealDeadlines, needsTee, sameHex, teeFrameworkOf } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import type { Assignment } from "@iexec-ts/wire";
import { type Policy, whyNot } from "../policy/policy.ts";
import type { Journal } from "../replicate/journal.ts";
import type { Replicate } from "../replicate/replicate.ts";
import type { Tee } from "../tee/tee.ts";

/** Cause of a task that the operator's policy does not take. */
export const POLICY_CAUSE = "REFUSED_BY_POLICY";

/**
 * Takes a task the scheduler offers into the journal, after checking on chain that it may be ours.
 *
 * SIDE EFFECTS: writes the journal. A task this worker cannot run is recorded as FAILED with its cause, so that the scheduler learns it.
 * Errors: WRK-1306 (not signed by the workerpool's owner), WRK-1314 (made out to somebody else), WRK-1310 (deal not readable).
 * @source chain.md 19: the deal freezes the workerpool's owner
 */
export async function takeIn(
  assignment: Assignment,
  deps: {
    readonly hub: Hub;
    readonly journal: Journal;
    readonly worker: Address;
    readonly workerpool: Address;
    readonly tee: Pick<Tee, "refusal">;
    /** What the operator takes, as it is now. */
    readonly policy: () => Policy;
  },
): Promise<Replicate> {
  const { authorization } = assignment;
  const taskId = authorization.chainTaskId;
  const { hub, journal, worker, workerpool, tee, policy } = deps;
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
  const refusal = needsTee(deal.tag) ? tee.refusal(taskId, teeFrameworkOf(deal.tag)) : undefined;
  if (!known && refusal !== undefined) {
    return journal.record(taskId, "FAILED", {
      cause: "TEE_NOT_SUPPORTED",
      details: { errorMessage: `${refusal.code}: ${refusal.message}` },
    });
  }
  if (known) return replicate;
  const wishes = policy();
  const app = wishes.onlyDigestApps ? await hub.app(deal.app.pointer).catch(() => undefined) : undefined;
  const reason = whyNot(wishes, { deal, category, app });
  if (reason === undefined) return replicate;
  const error = new CodedError("WRK-1530", { taskId, reason });
  return journal.record(taskId, "FAILED", { cause: POLICY_CAUSE, details: { errorMessage: `${error.code}: ${error.message}` } });
}
