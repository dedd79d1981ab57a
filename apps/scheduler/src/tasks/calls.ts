import type { TxIntent } from "@iexec-ts/chain";
import { type Address, type ChainTime, type DealId, HUB_ABI, hexSchema, sameHex, type TaskId, ZERO_ADDRESS } from "@iexec-ts/poco";
import { encodeFunctionData, stringToHex } from "viem";
import { z } from "zod";

/** Least gas of each call, from measured use of the live bytecode with room for more winners. @source chain.md 11 */
const GAS_FLOOR = { initialize: 300_000n, finalize: 400_000n, reopen: 120_000n, claim: 220_000n } as const;
/** A finalize pays each contributor: about this much more for each. */
const GAS_PER_CONTRIBUTOR = 60_000n;

const MAX_CALLBACK_BYTES = 1_024 * 1_024;
const FINALIZE = z.object({ link: z.string(), callback: hexSchema(MAX_CALLBACK_BYTES) });

export interface WantedCall {
  readonly id: string;
  readonly kind: "initialize" | "finalize" | "reopen" | "claim";
  readonly taskId: TaskId;
  readonly dealId: DealId;
  readonly index: bigint;
  readonly call: unknown;
  readonly callbackTarget: Address;
  readonly contributors: bigint;
  readonly contributionDeadline: ChainTime;
  readonly finalDeadline: ChainTime;
}

/**
 * The transaction of one wish.
 *
 * @param now - chain time; an initialize after the final deadline has no deadline of its own: it only prepares the claim
 * @source IexecPoco2: initialize, finalize, reopen, claim
 */
export function intentOf(wanted: WantedCall, hub: { readonly address: Address; readonly callbackGas: bigint }, now: ChainTime): TxIntent {
  const { id, taskId, kind } = wanted;
  const base = { id, to: hub.address, gasFloor: GAS_FLOOR[kind] };
  switch (kind) {
    case "initialize": {
      const data = encodeFunctionData({ abi: HUB_ABI, functionName: "initialize", args: [wanted.dealId, wanted.index] });
      return now < wanted.contributionDeadline ? { ...base, data, before: wanted.contributionDeadline } : { ...base, data };
    }
    case "finalize": {
      const { link, callback } = FINALIZE.parse(wanted.call);
      const data = encodeFunctionData({ abi: HUB_ABI, functionName: "finalize", args: [taskId, stringToHex(link), callback] });
      const hasCallback = !sameHex(wanted.callbackTarget, ZERO_ADDRESS);
      const gasFloor = GAS_FLOOR.finalize + wanted.contributors * GAS_PER_CONTRIBUTOR;
      const intent = { ...base, data, gasFloor, before: wanted.finalDeadline };
      return hasCallback ? { ...intent, gasExtra: hub.callbackGas } : intent;
    }
    case "reopen":
      return {
        ...base,
        data: encodeFunctionData({ abi: HUB_ABI, functionName: "reopen", args: [taskId] }),
        before: wanted.contributionDeadline,
      };
    case "claim":
      return { ...base, data: encodeFunctionData({ abi: HUB_ABI, functionName: "claim", args: [taskId] }) };
  }
}
