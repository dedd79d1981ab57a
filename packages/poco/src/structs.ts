import type { Address, Hex } from "viem";
import type { ChainTime, NanoRlc } from "./units.ts";

export type { Address, Hex } from "viem";
/** 32 bytes, lower-case hex. */
export type Bytes32 = Hex;
export type DealId = Hex;
/** The chain's task id: keccak256(dealId, index). Lower-case hex. */
export type TaskId = Hex;

/** @source IexecLibCore_v5.TaskStatusEnum, in order */
export const CHAIN_TASK_STATUSES = ["UNSET", "ACTIVE", "REVEALING", "COMPLETED", "FAILED"] as const;
export type ChainTaskStatus = (typeof CHAIN_TASK_STATUSES)[number];

/** @source IexecLibCore_v5.ContributionStatusEnum, in order; Java calls PROVED "REVEALED" */
export const CONTRIBUTION_STATUSES = ["UNSET", "CONTRIBUTED", "PROVED", "REJECTED"] as const;
export type ContributionStatus = (typeof CONTRIBUTION_STATUSES)[number];

export interface DealAsset {
  readonly pointer: Address;
  readonly owner: Address;
  readonly price: NanoRlc;
}

/** @source viewDeal; a deal exists if and only if startTime > 0 */
export interface Deal {
  readonly id: DealId;
  readonly app: DealAsset;
  readonly dataset: DealAsset;
  readonly workerpool: DealAsset;
  readonly trust: bigint;
  readonly category: bigint;
  readonly tag: Bytes32;
  readonly requester: Address;
  readonly beneficiary: Address;
  readonly callback: Address;
  /** Free text; see parseDealParams. */
  readonly params: string;
  readonly startTime: ChainTime;
  readonly botFirst: bigint;
  readonly botSize: bigint;
  /** Locked per contribution, frozen at the match. */
  readonly workerStake: NanoRlc;
  readonly schedulerRewardRatio: bigint;
  readonly sponsor: Address;
}

/** @source viewTask; a task exists if and only if dealId is not zero */
export interface ChainTask {
  readonly id: TaskId;
  readonly status: ChainTaskStatus;
  readonly dealId: DealId;
  readonly index: bigint;
  /** Period of the deal's category, in seconds. */
  readonly timeref: bigint;
  readonly contributionDeadline: ChainTime;
  readonly revealDeadline: ChainTime;
  readonly finalDeadline: ChainTime;
  readonly consensusValue: Bytes32;
  readonly revealCounter: bigint;
  readonly winnerCounter: bigint;
  readonly contributors: readonly Address[];
  readonly resultDigest: Bytes32;
  readonly results: Hex;
  readonly resultsCallback: Hex;
}

/** @source viewContribution */
export interface Contribution {
  readonly status: ContributionStatus;
  readonly resultHash: Bytes32;
  readonly resultSeal: Bytes32;
  readonly enclaveChallenge: Address;
  /** floor(log2(weight)) as the contract stores it. */
  readonly weight: bigint;
}

/** @source viewAccount; `stake` is free, `locked` is not part of it */
export interface Account {
  readonly stake: NanoRlc;
  readonly locked: NanoRlc;
}

/** What the chain says about one task and one worker, all read at one block. */
export interface TaskObservation {
  readonly block: { readonly number: bigint; readonly hash: Hex; readonly timestamp: ChainTime };
  readonly task: ChainTask | undefined;
  readonly deal: Deal | undefined;
  readonly ours: Contribution;
  readonly account: Account;
}

/** What a scheduler signs so that one worker may contribute to one task. Key names are the v9 wire's. */
export interface WorkerpoolAuthorization {
  readonly chainTaskId: TaskId;
  readonly dealId: DealId;
  readonly taskIndex: number;
  readonly workerWallet: Address;
  readonly enclaveChallenge: Address;
  readonly signature: { readonly value: Hex };
}
