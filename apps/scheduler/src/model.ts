import type { Address, ChainTime, DealId, Hex, NanoRlc, ReplicateStatus, TaskId, TaskStatus, TeeFramework } from "@iexec-ts/poco";

/** One task as this workerpool remembers it; what the chain says about it is read anew at each decision. */
export interface TaskRecord {
  readonly id: TaskId;
  readonly dealId: DealId;
  readonly index: bigint;
  readonly status: TaskStatus;
  /** Replicates are offered to workers that ask. */
  readonly open: boolean;
  /** When its outcome was known; replicates may still have to say their last word. */
  readonly endedAt: Date | undefined;
  /** Nothing is left to do, on chain or off. */
  readonly closed: boolean;
  readonly tee: TeeFramework | undefined;
  readonly trust: bigint;
  readonly workerStake: NanoRlc;
  readonly period: bigint;
  readonly contributionDeadline: ChainTime;
  readonly finalDeadline: ChainTime;
  readonly revealDeadline: ChainTime | undefined;
  readonly consensusBlock: bigint | undefined;
  readonly enclaveChallenge: Address | undefined;
  readonly resultLink: string | undefined;
  readonly callbackData: Hex | undefined;
}

/** One worker's share of a task. */
export interface ReplicateRecord {
  readonly taskId: TaskId;
  readonly wallet: Address;
  readonly status: ReplicateStatus;
  readonly cause: string | undefined;
  /** The last status that is neither WORKER_LOST nor RECOVERING: how far the work has got. */
  readonly relevant: ReplicateStatus;
  /** The last status in the worker's own line; differs from `relevant` where the chain knew first. */
  readonly workerStatus: ReplicateStatus;
  readonly workerSeq: number;
  /** Rows of its history. */
  readonly history: number;
  readonly slot: boolean;
  readonly weight: bigint;
  readonly uploadTries: number;
  /** The last order pushed to the worker. */
  readonly told: Order | undefined;
  readonly toldAt: Date | undefined;
  readonly changedAt: Date;
  readonly changedChain: ChainTime;
  /** Its worker pings. */
  readonly alive: boolean;
}

export type Order = "REVEAL" | "ABORT" | "UPLOAD" | "COMPLETE";

/** When a contribution and its reveal were first seen on chain. */
export interface Sighting {
  readonly wallet: Address;
  readonly weight: bigint;
  readonly seenAt: Date;
  readonly provedAt: Date | undefined;
}
