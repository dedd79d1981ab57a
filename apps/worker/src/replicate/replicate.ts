import type {
  Address,
  Bytes32,
  ChainTime,
  ContributedFailure,
  DealId,
  Hex,
  ReplicateStatus,
  TaskId,
  WorkerpoolAuthorization,
} from "@iexec-ts/poco";
import type { AbortCause, StatusDetails } from "@iexec-ts/wire";

/** A computed output whose digest is durable: from here on we can contribute, reveal and upload whatever else is lost. */
export interface Sealed {
  readonly digest: Bytes32;
  /** Set only for deals with a callback. */
  readonly callbackData: Hex | undefined;
  readonly zipPath: string;
  readonly zipSha256: Bytes32;
}

/** OPERATOR counts as long as nothing is contributed; OPERATOR_FORCED gives up the stake as well. */
export type AbortWish = AbortCause | "OPERATOR" | "OPERATOR_FORCED";

/** One task of ours, as the journal remembers it. */
export interface Replicate {
  readonly taskId: TaskId;
  readonly dealId: DealId;
  readonly taskIndex: number;
  readonly authorization: WorkerpoolAuthorization;
  readonly smsUrl: string | undefined;
  /** The last recorded status, whoever set it. */
  readonly status: ReplicateStatus;
  /** The last status that says how far we got: never RECOVERING, WORKER_LOST or OUT_OF_GAS. */
  readonly progress: ReplicateStatus;
  readonly seq: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** Fixed once, before the container starts; a restart keeps it. */
  readonly computeDeadline: Date | undefined;
  /** Why the output is a fabricated error, or undefined for a real one. */
  readonly failure: ContributedFailure | undefined;
  readonly sealed: Sealed | undefined;
  readonly resultLink: string | undefined;
  /** The scheduler asked us to upload. */
  readonly uploadRequested: boolean;
  /** A hint from the scheduler, on which the chain has the last word; or the operator's own wish. */
  readonly abort: AbortWish | undefined;
  /** Stake this replicate will lock when it contributes; reserved until then. */
  readonly stake: bigint;
  readonly finalDeadline: ChainTime;
  /** Nothing is left to do and the folder is gone. */
  readonly closedAt: Date | undefined;
}

export interface StatusChange {
  readonly taskId: TaskId;
  readonly seq: number;
  readonly status: ReplicateStatus;
  readonly cause: string | undefined;
  readonly at: Date;
  readonly details: StatusDetails | undefined;
}

/** What we put, or are about to put, on chain for a task: written once, never changed. */
export interface OurContribution {
  readonly taskId: TaskId;
  readonly worker: Address;
  readonly digest: Bytes32;
  readonly resultHash: Bytes32;
  readonly resultSeal: Bytes32;
  readonly callbackData: Hex | undefined;
}
