import { decodeErrorResult, type Hex, isHex } from "viem";
import type { BroadcastRefusal } from "../api.ts";
import type { RpcFault } from "./rpc-fault.ts";

// Nodes share one code (-32000) for most refusals and tell them apart by text alone. This file is the only place that reads texts.

const EXECUTION_REVERTED = 3;
const METHOD_NOT_FOUND = -32601;
const METHOD_NOT_SUPPORTED = -32004;
const LIMIT_EXCEEDED = -32005;
const INTERNAL = -32603;
const RESOURCE_NOT_FOUND = -32001;
const RESOURCE_UNAVAILABLE = -32002;
const PARITY_VM_ERROR = -32015;

const ALREADY_KNOWN = /already known|already imported|alreadyknown|known transaction|same hash was already imported/i;

/** First match wins. geth, nitro, anvil, then Parity and Nethermind (the Bellecour family). */
const REFUSALS: readonly (readonly [BroadcastRefusal, RegExp])[] = [
  ["nonce-too-low", /nonce too low|nonce is too low|oldnonce|invalid transaction nonce/i],
  ["insufficient-funds", /insufficient funds|insufficientfunds|insufficient balance|sender doesn't have enough funds|overshot/i],
  [
    "fee-below-base",
    /max fee per gas less than block base fee|less than block base fee|maxfeepergas.*base ?fee|gas price below (?:current )?base ?fee/i,
  ],
  [
    "underpriced",
    /underpriced|replacementnotallowed|feetoolow|gas price too low|gas price is too low|another transaction with same nonce/i,
  ],
  ["intrinsic-gas", /intrinsic gas too low|gaslimittoolow|not enough gas to cover minimal cost/i],
];

/** Says that the node is busy or broken, not that the transaction is refused. */
const TROUBLE = /rate limit|too many requests|timeout|timed out|temporarily|try again|overloaded|syncing|internal error/i;
const BEHIND =
  /header not found|block not found|unknown block|missing trie node|blockoutofrange|resource not found|historical state|state .*not available|hash .*not .*canonical|not currently canonical/i;
const REVERTED =
  /revert|invalid ?opcode|invalidfeopcode|bad instruction|bad jump|invalid ?jump|stack (?:under|over)flow|stackunderflow|out of gas|outofgas|gas required exceeds allowance|evm error/i;
const RANGE = /range|too large|too many|exceed|more than|limit|response size|timeout|timed out|up to a/i;
const TOO_OFTEN = /rate|too many requests|per second|quota|capacity/i;
const OUT_OF_RANGE = /blockoutofrange|beyond current head|after the latest|invalid block range params/i;

/** What a node's answer to eth_sendRawTransaction means; `unclear` when it may still have taken the transaction. */
export function classifyBroadcast(fault: RpcFault): BroadcastRefusal | "known" | "unclear" {
  if (ALREADY_KNOWN.test(fault.message)) return "known";
  for (const [kind, text] of REFUSALS) if (text.test(fault.message)) return kind;
  return isNodeTrouble(fault) || TROUBLE.test(fault.message) ? "unclear" : "other";
}

/** The call itself fails in the EVM, on any node. */
export function isRevert(fault: RpcFault): boolean {
  if (fault.code === EXECUTION_REVERTED || fault.code === PARITY_VM_ERROR) return true;
  return REVERTED.test(fault.message) && !TROUBLE.test(fault.message);
}

/** The sender cannot pay for the call that was to be simulated. */
export const isInsufficientFunds = (fault: RpcFault): boolean => classifyBroadcast(fault) === "insufficient-funds";

export function isMethodMissing(fault: RpcFault): boolean {
  return (
    fault.code === METHOD_NOT_FOUND ||
    fault.code === METHOD_NOT_SUPPORTED ||
    /method .*(?:not found|not supported|does not exist|not available|disabled)|unsupported method/i.test(fault.message)
  );
}

/** The node is limited, broken, or lacks the block: another node may answer the same question. */
export function isNodeTrouble(fault: RpcFault): boolean {
  if (isRevert(fault)) return false;
  return (
    fault.code === LIMIT_EXCEEDED ||
    fault.code === INTERNAL ||
    fault.code === RESOURCE_NOT_FOUND ||
    fault.code === RESOURCE_UNAVAILABLE ||
    BEHIND.test(fault.message)
  );
}

/** The node does not hold the block that was asked for, or does not know this way of naming a block. */
export const isBlockMissing = (fault: RpcFault): boolean => fault.code === RESOURCE_NOT_FOUND || BEHIND.test(fault.message);

/** eth_getLogs over too many blocks or logs; half the range may pass. */
export function isRangeLimit(fault: RpcFault): boolean {
  return (
    !OUT_OF_RANGE.test(fault.message) && !TOO_OFTEN.test(fault.message) && (fault.code === LIMIT_EXCEEDED || RANGE.test(fault.message))
  );
}

/** Why the EVM refused, in words: the contract's own where it gave some. */
export function revertReason(fault: RpcFault): string {
  const data = revertData(fault);
  if (data === undefined || data === "0x") return isRevert(fault) ? "reverted without a reason" : fault.message;
  try {
    const decoded = decodeErrorResult({ data, abi: [] });
    return decoded.errorName === "Error" ? String(decoded.args[0]) : `${decoded.errorName}(${decoded.args.join(", ")})`;
  } catch {
    return `custom error ${data.slice(0, 10)}`;
  }
}

function revertData(fault: RpcFault): Hex | undefined {
  if (isHex(fault.data)) return fault.data;
  const parity = typeof fault.data === "string" ? /0x[0-9a-f]*/i.exec(fault.data)?.[0] : undefined;
  return isHex(parity) ? parity : undefined;
}
