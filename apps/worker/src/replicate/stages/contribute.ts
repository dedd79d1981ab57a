import { contributionVerdict, HUB_ABI, resultHashOf, resultSealOf } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { encodeFunctionData, zeroHash } from "viem";
import { CONTRIBUTE_GAS } from "../gas-reserve.ts";
import { alreadyDone, enter, type StageWork } from "./stage.ts";

/**
 * Contributes the fingerprint of the sealed result.
 *
 * The contribution is registered before anything is signed, and can never be another one afterwards; the transaction has one identity, so
 * calling this again after a crash joins the one that is under way.
 *
 * SIDE EFFECTS: sends at most one transaction; records CONTRIBUTING, then CONTRIBUTED, CONTRIBUTE_FAILED or OUT_OF_GAS.
 * Errors: WRK-1301.
 * @source IexecPoco2.contribute; compute.md 2.5 (32 zero bytes where there is no enclave)
 */
export const contribute: StageWork = async (replicate, ports, signal) => {
  const { taskId, sealed, authorization } = replicate;
  const { journal, worker } = ports;
  const digest = sealed?.digest ?? journal.contribution(taskId)?.digest;
  if (digest === undefined) {
    journal.record(taskId, "FAILED", { cause: "DETERMINISM_HASH_NOT_FOUND" });
    return;
  }
  ports.checkpoint("W08");
  const contribution = journal.registerContribution({
    taskId,
    worker,
    digest,
    resultHash: resultHashOf(taskId, digest),
    resultSeal: resultSealOf(worker, taskId, digest),
    callbackData: sealed?.callbackData,
  });

  const { task, ours } = await ports.hub.observe(taskId, worker);
  if (ours.status !== "UNSET" && ours.resultHash === contribution.resultHash) {
    alreadyDone(replicate, "CONTRIBUTING", "CONTRIBUTED", ports);
    return;
  }
  enter(replicate, "CONTRIBUTING", ports);
  const outcome = await ports.queue.submit(
    {
      id: `contribute:${taskId}`,
      to: ports.hub.configuration.address,
      data: encodeFunctionData({
        abi: HUB_ABI,
        functionName: "contribute",
        args: [
          taskId,
          contribution.resultHash,
          contribution.resultSeal,
          authorization.enclaveChallenge,
          zeroHash,
          authorization.signature.value,
        ],
      }),
      gasFloor: CONTRIBUTE_GAS,
      ...(task === undefined ? {} : { before: task.contributionDeadline }),
    },
    signal,
  );
  switch (outcome.kind) {
    case "mined":
      ports.checkpoint("W10");
      journal.record(taskId, "CONTRIBUTED", {
        details: { chainReceipt: { blockNumber: outcome.receipt.blockNumber, txHash: outcome.hash } },
      });
      return;
    case "out-of-gas":
      journal.record(taskId, "OUT_OF_GAS", { cause: "OUT_OF_GAS" });
      return;
    case "reverted":
      journal.record(taskId, "CONTRIBUTE_FAILED", { cause: "CHAIN_RECEIPT_NOT_VALID" });
      return;
    case "expired":
      journal.record(taskId, "CONTRIBUTE_FAILED", { cause: "CONTRIBUTION_TIMEOUT" });
      return;
    case "refused": {
      // The state wins: it may be there already, or a reorganisation may have taken the task away for a moment.
      const now = await ports.hub.observe(taskId, worker);
      const verdict = contributionVerdict(now, { needStake: true, expected: contribution });
      if ("wait" in verdict) throw new CodedError("WRK-1318", { taskId, reason: outcome.reason });
      if ("expected" in verdict && verdict.expected) journal.record(taskId, "CONTRIBUTED");
      else journal.record(taskId, "CONTRIBUTE_FAILED", { cause: "CHAIN_REFUSED", details: { errorMessage: outcome.reason } });
      return;
    }
    default:
      outcome satisfies never;
  }
};
