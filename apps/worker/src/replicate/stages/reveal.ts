import { HUB_ABI, revealVerdict } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { encodeFunctionData } from "viem";
import { isConsensusDeep } from "../consensus-depth.ts";
import { REVEAL_GAS } from "../gas-reserve.ts";
import { alreadyDone, enter, type StageWork } from "./stage.ts";

/**
 * Reveals our contribution if, and only if, the chain still wants it. Needs nothing but the journal and one node. Waits for the next block
 * while the consensus has fewer confirmations than the operator asks for.
 *
 * SIDE EFFECTS: sends at most one transaction; records REVEALING, then REVEALED, REVEAL_FAILED, REVEAL_TIMEOUT or OUT_OF_GAS.
 * @source IexecPoco2.reveal
 */
export const reveal: StageWork = async (replicate, ports, signal) => {
  const { taskId } = replicate;
  const { journal, worker } = ports;
  const contribution = journal.contribution(taskId);
  if (contribution === undefined) throw new CodedError("WRK-1304", { taskId });

  const chain = await ports.hub.observe(taskId, worker);
  const { task, ours } = chain;
  if (ours.status === "PROVED") {
    alreadyDone(replicate, "REVEALING", "REVEALED", ports);
    return;
  }
  const verdict = revealVerdict(chain, worker, contribution.digest);
  if (task === undefined || !("can" in verdict)) return;
  if (!(await isConsensusDeep(ports.hub, chain, ports.confirmations))) {
    await ports.pool.waitForBlock(chain.block.number + 1n, signal);
    return;
  }
  ports.checkpoint("W11");
  enter(replicate, "REVEALING", ports);
  const outcome = await ports.queue.submit(
    {
      id: `reveal:${taskId}`,
      to: ports.hub.configuration.address,
      data: encodeFunctionData({ abi: HUB_ABI, functionName: "reveal", args: [taskId, contribution.digest] }),
      gasFloor: REVEAL_GAS,
      before: task.revealDeadline,
    },
    signal,
  );
  switch (outcome.kind) {
    case "mined":
      ports.checkpoint("W16");
      journal.record(taskId, "REVEALED", {
        details: { chainReceipt: { blockNumber: outcome.receipt.blockNumber, txHash: outcome.hash } },
      });
      return;
    case "out-of-gas":
      journal.record(taskId, "OUT_OF_GAS", { cause: "OUT_OF_GAS" });
      return;
    case "expired":
      journal.record(taskId, "REVEAL_TIMEOUT", { cause: "REVEAL_TIMEOUT" });
      return;
    case "reverted":
      return afterRefusal("CHAIN_RECEIPT_NOT_VALID", undefined);
    case "refused":
      return afterRefusal("CANNOT_REVEAL", outcome.reason);
    default:
      outcome satisfies never;
  }

  /** The state wins over the receipt: it may have been revealed by an earlier attempt, or still be possible. */
  async function afterRefusal(cause: string, reason: string | undefined): Promise<void> {
    const now = await ports.hub.observe(taskId, worker);
    if (now.ours.status === "PROVED") journal.record(taskId, "REVEALED");
    else if ("can" in revealVerdict(now, worker, contribution?.digest))
      throw new CodedError("WRK-1311", { taskId, reason: reason ?? cause });
    else journal.record(taskId, "REVEAL_FAILED", { cause, ...(reason === undefined ? {} : { details: { errorMessage: reason } }) });
  }
};
