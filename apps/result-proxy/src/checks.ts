import type { Hub } from "@iexec-ts/chain";
import {
  type Address,
  authorizationHashOf,
  authorizationSigner,
  type Bytes32,
  type Deal,
  enclaveMessageOf,
  expectedAuthorizationSigner,
  type Hex,
  isAuthorizationConsistent,
  personalSigner,
  resultHashOf,
  resultSealOf,
  sameHex,
  type TaskId,
  type TaskObservation,
  teeFrameworkOf,
  type WorkerpoolAuthorization,
  ZERO_ADDRESS,
} from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";

/** How a deal's results come: `standard` after the reveal, recomputed here; `tee` before the contribution, signed by an enclave. */
export type ResultKind = "standard" | "tee";

export interface Upload {
  readonly taskId: TaskId;
  readonly worker: Address;
  readonly kind: ResultKind;
  readonly deal: Deal;
  readonly observation: TaskObservation;
}

/**
 * Whether a wallet may have an upload token for a task: it signed the request, the workerpool's owner authorized it, and the task can
 * still be finalized.
 * Errors: PRX-1001, PRX-1003 to PRX-1006.
 *
 * @param signature - the Authorization header: EIP-191 signature of the authorization's hash by its `workerWallet`
 * @returns the kind of result the deal wants
 * @source reference/services.md 3.1 (token checks)
 */
export async function checkTokenRequest(hub: Hub, authorization: WorkerpoolAuthorization, signature: Hex): Promise<ResultKind> {
  const { chainTaskId: taskId, workerWallet: wallet, enclaveChallenge } = authorization;
  const requester = await personalSigner(authorizationHashOf(wallet, taskId, enclaveChallenge), signature);
  if (requester === undefined || !sameHex(requester, wallet)) throw new CodedError("PRX-1001", { wallet });
  if (!isAuthorizationConsistent(authorization))
    throw new CodedError("PRX-1005", { taskId, reason: "task, deal and index do not belong together" });
  const { deal } = await openTask(hub, taskId, wallet);
  const kind = kindOf(deal);
  if (sameHex(enclaveChallenge, ZERO_ADDRESS) !== (kind === "standard")) {
    throw new CodedError("PRX-1005", { taskId, reason: "the enclave challenge contradicts the deal's tag" });
  }
  const expected = expectedAuthorizationSigner(deal, hub.configuration.teeBroker, enclaveChallenge);
  const signer = await authorizationSigner(authorization);
  if (signer === undefined || !sameHex(signer, expected)) throw new CodedError("PRX-1006", { taskId, expected });
  return kind;
}

/**
 * Whether a worker may upload the result of a task now, before any byte is read: the task waits for a result, and, for a standard task,
 * the worker has revealed.
 * Errors: PRX-1003, PRX-1004, PRX-1010, PRX-1011.
 * @source reference/services.md 3.1 (upload checks)
 */
export async function checkUploader(hub: Hub, taskId: TaskId, worker: Address): Promise<Upload> {
  const { observation, deal } = await openTask(hub, taskId, worker);
  const kind = kindOf(deal);
  const { task, ours } = observation;
  const expected = kind === "standard" ? "REVEALING" : "ACTIVE";
  if (task?.status !== expected) throw new CodedError("PRX-1010", { taskId, status: task?.status ?? "UNSET", expected });
  if (kind === "standard" && ours.status !== "PROVED") throw new CodedError("PRX-1011", { taskId, wallet: worker, status: ours.status });
  return { taskId, worker, kind, deal, observation };
}

/** Whether a recomputed digest is the one the worker revealed. Errors: PRX-1012. */
export function checkDigest({ taskId, observation }: Upload, digest: Bytes32): void {
  const { ours, task } = observation;
  const hash = resultHashOf(taskId, digest);
  if (!sameHex(hash, ours.resultHash) || task === undefined || !sameHex(hash, task.consensusValue)) {
    throw new CodedError("PRX-1012", { taskId, digest });
  }
}

/**
 * Whether the enclave that the pool authorized for this worker signed this digest. Errors: PRX-1013.
 * @source reference/services.md 3.1: EIP-191 over keccak(resultHash ++ resultSeal)
 */
export async function checkEnclave(
  { taskId, worker }: Upload,
  digest: Bytes32,
  signature: Hex,
  enclave: Address | undefined,
): Promise<void> {
  const message = enclaveMessageOf(resultHashOf(taskId, digest), resultSealOf(worker, taskId, digest));
  const signer = await personalSigner(message, signature);
  if (enclave === undefined || signer === undefined || !sameHex(signer, enclave)) throw new CodedError("PRX-1013", { taskId });
}

async function openTask(
  hub: Hub,
  taskId: TaskId,
  wallet: Address,
): Promise<{ readonly observation: TaskObservation; readonly deal: Deal }> {
  const observation = await hub.observe(taskId, wallet);
  const { task, deal, block } = observation;
  if (task === undefined || deal === undefined) throw new CodedError("PRX-1003", { taskId });
  if (block.timestamp >= task.finalDeadline) throw new CodedError("PRX-1004", { taskId });
  return { observation, deal };
}

const kindOf = (deal: Deal): ResultKind => (teeFrameworkOf(deal.tag) === undefined ? "standard" : "tee");
