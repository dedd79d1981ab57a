import { describe, expect, test } from "vitest";
import { classifyBroadcast, isBlockMissing, isMethodMissing, isNodeTrouble, isRangeLimit, isRevert, revertReason } from "./node-texts.ts";

const fault = (code: number, message: string, data?: unknown) => ({ code, message, data });

describe("answers to a raw transaction", () => {
  test.each([
    // anvil 1.7
    [-32003, "transaction already imported", "known"],
    [-32003, "nonce too low", "nonce-too-low"],
    [-32003, "Insufficient funds for gas * price + value", "insufficient-funds"],
    [-32003, "replacement transaction underpriced", "underpriced"],
    [-32003, "max fee per gas less than block base fee", "fee-below-base"],
    [-32000, "intrinsic gas too low", "intrinsic-gas"],
    [-32000, "intrinsic gas too high -- tx.gas_limit > env.block.gas_limit", "other"],
    [-32003, "invalid chain id for signer", "other"],
    // geth
    [-32000, "already known", "known"],
    [-32000, "nonce too low: next nonce 5, tx nonce 4", "nonce-too-low"],
    [-32000, "insufficient funds for gas * price + value: balance 1, tx cost 2, overshot 1", "insufficient-funds"],
    [-32000, "transaction underpriced: tip needed 1, tip permitted 0", "underpriced"],
    [-32000, "max fee per gas less than block base fee: address 0x0, maxFeePerGas: 1, baseFee: 2", "fee-below-base"],
    [-32000, "intrinsic gas too low: gas 1000, minimum needed 21000", "intrinsic-gas"],
    [-32000, "exceeds block gas limit", "other"],
    // nitro
    [-32000, "nonce too high: address 0x0, tx: 7 state: 5", "other"],
    // Nethermind and Parity
    [-32010, "AlreadyKnown", "known"],
    [-32010, "OldNonce, Current nonce: 5, nonce of rejected tx: 4.", "nonce-too-low"],
    [-32010, "InsufficientFunds, Account balance: 0, cumulative cost: 1", "insufficient-funds"],
    [-32010, "FeeTooLow, MaxFeePerGas too low.", "underpriced"],
    [-32010, "Transaction with the same hash was already imported.", "known"],
    [-32010, "Transaction nonce is too low. Try incrementing the nonce.", "nonce-too-low"],
    [-32010, "Insufficient funds. The account you tried to send transaction from does not have enough funds.", "insufficient-funds"],
    // not about the transaction
    [-32005, "limit exceeded", "unclear"],
    [-32603, "internal error", "unclear"],
    [-32000, "request timed out", "unclear"],
  ])("%i %s", (code, message, expected) => {
    expect(classifyBroadcast(fault(code, message))).toBe(expected);
  });
});

describe("failures of a call", () => {
  const REASON = `0x08c379a0${"20".padStart(64, "0")}${"02".padStart(64, "0")}${Buffer.from("no").toString("hex").padEnd(64, "0")}`;

  test.each([
    [3, "execution reverted", true],
    [-32000, "execution reverted", true],
    [-32000, "invalid opcode: INVALID", true],
    [-32603, "EVM error InvalidFEOpcode", true],
    [-32015, "VM execution error.", true],
    [-32000, "gas required exceeds allowance (1000)", true],
    [-32000, "header not found", false],
    [-32603, "internal error", false],
  ])("%i %s: the contract refuses: %s", (code, message, expected) => {
    expect(isRevert(fault(code, message))).toBe(expected);
  });

  test("gives the contract's own reason", () => {
    expect(revertReason(fault(3, "execution reverted", REASON))).toBe("no");
    expect(revertReason(fault(-32015, "VM execution error.", `Reverted ${REASON}`))).toBe("no");
    expect(revertReason(fault(3, "execution reverted", "0x"))).toBe("reverted without a reason");
    expect(revertReason(fault(3, "execution reverted", "0xdeadbeef"))).toBe("custom error 0xdeadbeef");
    expect(revertReason(fault(3, "execution reverted", `0x4e487b71${"11".padStart(64, "0")}`))).toBe("Panic(17)");
  });
});

test.each([
  [-32602, "BlockOutOfRangeError: block height is 3 but requested was 153", true, false],
  [-32001, "Resource not found", true, false],
  [-32000, "header not found", true, false],
  [-32000, "missing trie node 12ab (path )", true, false],
  [-32005, "query returned more than 10000 results", false, true],
  [-32602, "query exceeds max block range 100000", false, true],
  [-32000, "block range is too wide", false, true],
  [-32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range", false, true],
  [-32005, "daily request count exceeded, request rate limited", false, false],
])("%i %s: block missing %s, range too large %s", (code, message, missing, range) => {
  expect(isBlockMissing(fault(code, message))).toBe(missing);
  expect(isRangeLimit(fault(code, message))).toBe(range);
});

test("a method that a node lacks is told from one that failed", () => {
  expect(isMethodMissing(fault(-32601, "Method not found"))).toBe(true);
  expect(isMethodMissing(fault(-32000, "the method eth_maxPriorityFeePerGas does not exist/is not available"))).toBe(true);
  expect(isMethodMissing(fault(-32000, "header not found"))).toBe(false);
});

test("another node is asked when this one is limited or lacks the block, not when the contract refuses", () => {
  expect(isNodeTrouble(fault(-32005, "limit exceeded"))).toBe(true);
  expect(isNodeTrouble(fault(-32000, "header not found"))).toBe(true);
  expect(isNodeTrouble(fault(3, "execution reverted"))).toBe(false);
  expect(isNodeTrouble(fault(-32603, "EVM error InvalidFEOpcode"))).toBe(false);
});
