import {
  authorizationHashOf,
  type Bytes32,
  type DealId,
  enclaveMessageOf,
  HUB_ABI,
  resultHashOf,
  resultSealOf,
  type TaskId,
  taskIdOf,
  type WorkerpoolAuthorization,
} from "@iexec-ts/poco";
import { type Address, encodeFunctionData, type Hex, type LocalAccount, type TransactionReceipt, zeroAddress } from "viem";
import type { PocoDeployment } from "./deploy-poco.ts";
import type { Sender } from "./sender.ts";

export interface Assignment {
  readonly dealId: DealId;
  /** Index of the task, from the deal's `botFirst` on. */
  readonly index: bigint;
  readonly worker: Address;
  /** Default: none, the zero address. */
  readonly enclaveChallenge?: Address;
}

/** The scheduler's and the worker's transactions, one by one. Errors of all: NET-1006. */
export interface Work {
  /** SIDE EFFECTS: opens the task; anybody may. */
  initializeTask(sender: LocalAccount, dealId: DealId, index: bigint): Promise<TaskId>;
  /** What a scheduler hands to one worker; sends nothing. */
  authorize(scheduler: LocalAccount, assignment: Assignment): Promise<WorkerpoolAuthorization>;
  /** SIDE EFFECTS: contributes `digest`. @param enclave - signs the contribution when the authorization names its address */
  contribute(
    worker: LocalAccount,
    authorization: WorkerpoolAuthorization,
    digest: Bytes32,
    enclave?: LocalAccount,
  ): Promise<TransactionReceipt>;
  reveal(worker: LocalAccount, taskId: TaskId, digest: Bytes32): Promise<TransactionReceipt>;
  /** @param results - bytes of the result link; @param callback - bytes for a callback deal */
  finalize(scheduler: LocalAccount, taskId: TaskId, results?: Hex, callback?: Hex): Promise<TransactionReceipt>;
  reopen(scheduler: LocalAccount, taskId: TaskId): Promise<TransactionReceipt>;
  claim(sender: LocalAccount, taskId: TaskId): Promise<TransactionReceipt>;
}

/** @source chain.md 5, 11 */
export function workOf({ hub }: PocoDeployment, sender: Sender): Work {
  const sign = (account: LocalAccount, hash: Bytes32) => account.signMessage({ message: { raw: hash } });
  const send = (account: LocalAccount, what: string, data: Hex) => sender.send(account, { what, to: hub, data });
  return {
    async initializeTask(account, dealId, index) {
      await send(account, "initialize", encodeFunctionData({ abi: HUB_ABI, functionName: "initialize", args: [dealId, index] }));
      return taskIdOf(dealId, index);
    },
    async authorize(scheduler, { dealId, index, worker, enclaveChallenge = zeroAddress }) {
      const chainTaskId = taskIdOf(dealId, index);
      const value = await sign(scheduler, authorizationHashOf(worker, chainTaskId, enclaveChallenge));
      return { chainTaskId, dealId, taskIndex: Number(index), workerWallet: worker, enclaveChallenge, signature: { value } };
    },
    async contribute(worker, authorization, digest, enclave) {
      const { chainTaskId, enclaveChallenge, signature } = authorization;
      const resultHash = resultHashOf(chainTaskId, digest);
      const resultSeal = resultSealOf(worker.address, chainTaskId, digest);
      const enclaveSign = enclave === undefined ? "0x" : await sign(enclave, enclaveMessageOf(resultHash, resultSeal));
      const data = encodeFunctionData({
        abi: HUB_ABI,
        functionName: "contribute",
        args: [chainTaskId, resultHash, resultSeal, enclaveChallenge, enclaveSign, signature.value],
      });
      return send(worker, "contribute", data);
    },
    reveal: (worker, taskId, digest) =>
      send(worker, "reveal", encodeFunctionData({ abi: HUB_ABI, functionName: "reveal", args: [taskId, digest] })),
    finalize: (scheduler, taskId, results = "0x", callback = "0x") =>
      send(scheduler, "finalize", encodeFunctionData({ abi: HUB_ABI, functionName: "finalize", args: [taskId, results, callback] })),
    reopen: (scheduler, taskId) => send(scheduler, "reopen", encodeFunctionData({ abi: HUB_ABI, functionName: "reopen", args: [taskId] })),
    claim: (account, taskId) => send(account, "claim", encodeFunctionData({ abi: HUB_ABI, functionName: "claim", args: [taskId] })),
  };
}
