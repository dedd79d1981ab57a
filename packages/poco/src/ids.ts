import { encodePacked, keccak256 } from "viem";
import type { Address, Bytes32, DealId, TaskId } from "./structs.ts";

/**
 * Id of the deal that a request order makes when `botFirst` of its tasks were already consumed by earlier deals.
 *
 * @source IexecPoco1.matchOrders: keccak256(requestHash, consumed)
 */
export function dealIdOf(requestHash: Bytes32, botFirst: bigint): DealId {
  return keccak256(encodePacked(["bytes32", "uint256"], [requestHash, botFirst]));
}

/**
 * Id of one task of a deal, `botFirst <= index < botFirst + botSize`.
 *
 * @source IexecPoco2.initialize: keccak256(dealId, index)
 */
export function taskIdOf(dealId: DealId, index: bigint): TaskId {
  return keccak256(encodePacked(["bytes32", "uint256"], [dealId, index]));
}

/**
 * What contributors agree on.
 *
 * @source IexecPoco2.reveal: keccak256(taskId, resultDigest)
 */
export function resultHashOf(taskId: TaskId, digest: Bytes32): Bytes32 {
  return keccak256(encodePacked(["bytes32", "bytes32"], [taskId, digest]));
}

/**
 * What proves that this worker knew the digest before it was revealed.
 *
 * @source IexecPoco2.reveal: keccak256(worker, taskId, resultDigest)
 */
export function resultSealOf(worker: Address, taskId: TaskId, digest: Bytes32): Bytes32 {
  return keccak256(encodePacked(["address", "bytes32", "bytes32"], [worker, taskId, digest]));
}

/**
 * The 32 bytes that the enclave's key signs (EIP-191) to vouch for a contribution.
 *
 * @source IexecPoco2.contribute: keccak256(resultHash, resultSeal)
 */
export function enclaveMessageOf(resultHash: Bytes32, resultSeal: Bytes32): Bytes32 {
  return keccak256(encodePacked(["bytes32", "bytes32"], [resultHash, resultSeal]));
}

/**
 * The 32 bytes that a scheduler signs (EIP-191) to let one worker contribute to one task. The worker signs the same bytes to prove
 * itself to the result proxy and the SMS.
 *
 * @param enclaveChallenge - the zero address outside of TEE
 * @source IexecPoco2.contribute: keccak256(worker, taskId, enclaveChallenge); wire.md 1.6
 */
export function authorizationHashOf(worker: Address, taskId: TaskId, enclaveChallenge: Address): Bytes32 {
  return keccak256(encodePacked(["address", "bytes32", "address"], [worker, taskId, enclaveChallenge]));
}

/**
 * The 32 bytes that the enclave's key signs (EIP-191) when a TEE stage calls the worker's compute API.
 *
 * @source compute.md 4.6: keccak256(taskId, worker)
 */
export function computeApiChallengeOf(taskId: TaskId, worker: Address): Bytes32 {
  return keccak256(encodePacked(["bytes32", "address"], [taskId, worker]));
}
