import { z } from "zod";
import { addressSchema, bytes32Schema, hexSchema, sameHex, ZERO_ADDRESS } from "./hex.ts";
import { authorizationHashOf, taskIdOf } from "./ids.ts";
import { personalSigner } from "./signature.ts";
import type { Address, Deal, WorkerpoolAuthorization } from "./structs.ts";

/** An authorization as it travels; unknown keys are dropped, hex is lower-cased. An ERC-1271 owner's signature may be longer than 65 bytes. */
export const workerpoolAuthorizationSchema = z.object({
  chainTaskId: bytes32Schema,
  dealId: bytes32Schema,
  taskIndex: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
  workerWallet: addressSchema,
  enclaveChallenge: addressSchema,
  signature: z.object({ value: hexSchema(4096) }),
});

/**
 * Who signed this authorization (an externally owned account), lower-case, or undefined when the signature has a form the contracts
 * refuse. When the expected signer is a contract, ask it (`ERC1271_ABI`) instead.
 *
 * @source IexecPoco2.contribute; chain.md 5.1, 19
 */
export function authorizationSigner(authorization: WorkerpoolAuthorization): Promise<Address | undefined> {
  const { workerWallet, chainTaskId, enclaveChallenge, signature } = authorization;
  return personalSigner(authorizationHashOf(workerWallet, chainTaskId, enclaveChallenge), signature.value);
}

/**
 * Who must have signed the authorizations of a deal: the pool's owner frozen in it, or the TEE broker when there is one and the worker
 * contributes from an enclave.
 *
 * @param teeBroker - `teebroker()` of the hub; the zero address: none
 * @source IexecPoco2.contribute; chain.md 19
 */
export function expectedAuthorizationSigner(deal: Pick<Deal, "workerpool">, teeBroker: Address, enclaveChallenge: Address): Address {
  return sameHex(enclaveChallenge, ZERO_ADDRESS) || sameHex(teeBroker, ZERO_ADDRESS) ? deal.workerpool.owner : teeBroker;
}

/** Whether the task id of an authorization is the one its own deal and index give. */
export function isAuthorizationConsistent(authorization: WorkerpoolAuthorization): boolean {
  return sameHex(taskIdOf(authorization.dealId, BigInt(authorization.taskIndex)), authorization.chainTaskId);
}
