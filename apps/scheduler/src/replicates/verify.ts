import type { Hub, RpcPool } from "@iexec-ts/chain";
import {
  type Address,
  callbackDigest,
  type DealId,
  formatResultLink,
  type Hex,
  parseResultLink,
  sameHex,
  type TaskId,
  ZERO_ADDRESS,
} from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import type { StatusReport, TaskAction } from "@iexec-ts/wire";
import { hexToString } from "viem";
import type { ResultRepository } from "./result-repository.ts";

/** What could be established about a claim, before it is stored. */
export type Verdict =
  /** Nothing outside of the worker can confirm or deny it: the transition table decides. */
  | { readonly kind: "claimed" }
  /** The chain, or the place where results are kept, confirms it. */
  | { readonly kind: "confirmed"; readonly result?: { readonly link: string; readonly callback: Hex | undefined } }
  | { readonly kind: "denied"; readonly action: TaskAction };

const CLAIMED: Verdict = { kind: "claimed" };
const denied = (action: TaskAction): Verdict => ({ kind: "denied", action });

export interface Verifier {
  /** Errors: SCH-1301 when our node stays behind the worker's; SCH-1302 when the result proxy does not answer. */
  verify(wallet: Address, report: StatusReport, dealId: DealId): Promise<Verdict>;
}

/**
 * Checks what can be checked of a report against the chain and the result proxy. Reads are made at or after the block of the worker's own
 * receipt: it waits for that block to arrive here, it does not poll for it.
 *
 * @source wire.md 3.5 item 6
 */
export function createVerifier(deps: {
  readonly hub: Hub;
  readonly pool: RpcPool;
  readonly results: ResultRepository;
  /** The callback of a deal; the zero address: none. */
  readonly callbackOf: (dealId: DealId) => Promise<Address>;
  readonly chainWaitMs: number;
}): Verifier {
  const { hub, pool, results, callbackOf, chainWaitMs } = deps;

  const reach = async (block: bigint | undefined): Promise<void> => {
    if (block === undefined || block <= pool.head().number) return;
    try {
      await pool.waitForBlock(block, AbortSignal.timeout(chainWaitMs));
    } catch (thrown) {
      throw new CodedError("SCH-1301", { block, waitMs: chainWaitMs }, { cause: thrown });
    }
  };

  const contributionStatus = async (wallet: Address, { taskId, details }: StatusReport): Promise<string> => {
    await reach(details?.chainReceipt?.blockNumber);
    return (await hub.contribution(taskId, wallet, pool.head().number)).status;
  };

  const linkOnChain = (bytes: Hex): string => hexToString(bytes);

  const uploaded = async (report: StatusReport, callback: Address): Promise<Verdict> => {
    const { taskId, details } = report;
    await reach(details?.chainReceipt?.blockNumber);
    const task = await hub.task(taskId, pool.head().number);
    if (task?.status === "COMPLETED") return { kind: "confirmed", result: { link: linkOnChain(task.results), callback: undefined } };
    if (!sameHex(callback, ZERO_ADDRESS)) {
      const sent = callbackDigest(details?.chainCallbackData ?? "");
      if (sent === undefined || task === undefined || !sameHex(sent.digest, task.resultDigest)) return denied("PLEASE_WAIT");
      return { kind: "confirmed", result: { link: formatResultLink({ callback }), callback: sent.bytes } };
    }
    const said = parseResultLink(details?.resultLink ?? "");
    const cid = await results.find(taskId);
    if (cid === undefined || (said?.storage === "ipfs" && said.cid !== cid)) return denied("PLEASE_WAIT");
    return { kind: "confirmed", result: { link: formatResultLink({ cid }), callback: undefined } };
  };

  return {
    async verify(wallet, report, dealId) {
      switch (report.status) {
        case "CONTRIBUTED":
          return (await contributionStatus(wallet, report)) === "UNSET" ? denied("PLEASE_ABORT") : { kind: "confirmed" };
        case "REVEALED":
          return (await contributionStatus(wallet, report)) === "PROVED" ? { kind: "confirmed" } : denied("PLEASE_WAIT");
        case "CONTRIBUTE_FAILED":
          return (await contributionStatus(wallet, report)) === "UNSET" ? CLAIMED : denied("PLEASE_WAIT");
        case "REVEAL_FAILED":
        case "CANT_REVEAL":
          return (await contributionStatus(wallet, report)) === "PROVED" ? denied("PLEASE_WAIT") : CLAIMED;
        case "RESULT_UPLOADED":
          return await uploaded(report, await callbackOf(dealId));
        case "RESULT_UPLOAD_FAILED":
          return sameHex(await callbackOf(dealId), ZERO_ADDRESS) && (await isStored(results, report.taskId))
            ? denied("PLEASE_WAIT")
            : CLAIMED;
        case "COMPLETED": {
          const task = await hub.task(report.taskId, pool.head().number);
          return task?.status === "COMPLETED" ? { kind: "confirmed" } : denied("PLEASE_WAIT");
        }
        default:
          return CLAIMED;
      }
    },
  };
}

const isStored = async (results: ResultRepository, taskId: TaskId): Promise<boolean> => (await results.find(taskId)) !== undefined;
