import type { Address, Hex, ReplicateStatus, TaskId, WorkerpoolAuthorization } from "@iexec-ts/poco";

/** @source wire.md 1.2: exactly these keys; Java clients refuse unknown ones */
export interface PublicConfiguration {
  readonly workerPoolAddress: Address;
  readonly schedulerPublicAddress: Address;
  readonly configServerUrl: string;
  readonly resultRepositoryURL: string;
  /** Milliseconds between two demands of a v9 worker. */
  readonly askForReplicatePeriod: number;
  /** Empty: any version. Never null. */
  readonly requiredWorkerVersion: string;
}

/** @source wire.md 1.2: GET {configServerUrl}/config/chain */
export interface PublicChainConfig {
  readonly chainId: number;
  readonly sidechain: boolean;
  readonly chainNodeUrl: string;
  readonly iexecHubContractAddress: Address;
  /** ISO-8601 duration, for example PT5S. */
  readonly blockTime: string;
}

export interface WorkerDescription {
  readonly name: string;
  readonly walletAddress: Address;
  readonly os: string;
  readonly cpu: string;
  readonly cpuNb: number;
  /** GiB */
  readonly memorySize: number;
  readonly gpuEnabled: boolean;
  readonly teeEnabled: boolean;
  readonly tdxEnabled: boolean;
}

export const TASK_ACTIONS = [
  "PLEASE_CONTINUE",
  "PLEASE_WAIT",
  "PLEASE_START",
  "PLEASE_DOWNLOAD_APP",
  "PLEASE_DOWNLOAD_DATA",
  "PLEASE_COMPUTE",
  "PLEASE_CONTRIBUTE",
  "PLEASE_REVEAL",
  "PLEASE_UPLOAD",
  "PLEASE_CONTRIBUTE_AND_FINALIZE",
  "PLEASE_COMPLETE",
  "PLEASE_ABORT",
] as const;
/** @source wire.md 2.2 (TaskNotificationType) */
export type TaskAction = (typeof TASK_ACTIONS)[number];
export type AbortCause = "CONTRIBUTION_TIMEOUT" | "CONSENSUS_REACHED" | "UNKNOWN";

/** A task offered to a worker. */
export interface Assignment {
  readonly authorization: WorkerpoolAuthorization;
  readonly smsUrl: string | undefined;
}

/** A hint that something changed. It is never the only source: the worker also watches the chain. */
export interface TaskNotification {
  readonly taskId: TaskId;
  readonly action: TaskAction;
  /** Lower-case addresses; empty means every subscriber. */
  readonly workers: readonly Address[];
  readonly blockNumber: bigint | undefined;
  readonly abortCause: AbortCause | undefined;
  readonly smsUrl: string | undefined;
  readonly authorization: WorkerpoolAuthorization | undefined;
}

export interface StatusDetails {
  readonly chainReceipt?: { readonly blockNumber: bigint; readonly txHash: Hex };
  readonly resultLink?: string;
  readonly chainCallbackData?: Hex;
  readonly exitCode?: number;
  /** Each cut to its last 100 000 UTF-16 units. */
  readonly computeLogs?: { readonly stdout: string; readonly stderr: string };
  readonly errorMessage?: string;
}

/** One status of one replicate, in the guide's words. */
export interface StatusReport {
  readonly taskId: TaskId;
  /** Position in this replicate's own history, from 1; makes delivery idempotent in the native dialect. 0: a v9 worker, which does not count. */
  readonly seq: number;
  readonly status: ReplicateStatus;
  /** A v9 cause name or a code of our catalogue; why the status is what it is. */
  readonly cause?: string;
  readonly at: Date;
  readonly details?: StatusDetails;
}

export type ReportAnswer =
  | { readonly kind: "stored"; readonly action: TaskAction | undefined }
  /** The scheduler already had this status. */
  | { readonly kind: "duplicate"; readonly action: TaskAction | undefined }
  /** The scheduler will not store it; delivery is over. */
  | { readonly kind: "refused"; readonly action: TaskAction | undefined };

/**
 * The worker's side of its scheduler. Logs in by itself, re-logs in silently on 401, backs off with jitter on failures.
 * Every call throws a CodedError: WIR-… retry class says whether to call again.
 */
export interface SchedulerLink {
  readonly dialect: "native" | "v9";
  readonly version: string;
  readonly configuration: PublicConfiguration;
  readonly chain: PublicChainConfig | undefined;
  register(me: WorkerDescription, signal?: AbortSignal): Promise<void>;
  /** Resolves with a task as soon as the scheduler has one for us; native: long-poll, v9: paced by askForReplicatePeriod. */
  demand(request: { readonly blockNumber: bigint }, signal: AbortSignal): Promise<Assignment | undefined>;
  /** What the scheduler believes we missed; asked after each (re)connection. */
  interrupted(request: { readonly blockNumber: bigint }, signal?: AbortSignal): Promise<readonly TaskNotification[]>;
  report(report: StatusReport, signal?: AbortSignal): Promise<ReportAnswer>;
  subscribe(taskId: TaskId): void;
  unsubscribe(taskId: TaskId): void;
  onNotification(listener: (notification: TaskNotification) => void): () => void;
  /** `up`: pings answered and push connected; `degraded`: pings only; `down`: neither. */
  onState(listener: (state: LinkState) => void): () => void;
  readonly state: LinkState;
  close(): Promise<void>;
}
export type LinkState = "up" | "degraded" | "down";

/** What connectScheduler gives: a link that also says when its owner has to look. */
export interface SchedulerConnection extends SchedulerLink {
  /** Called after each (re)connection of the push channel, all topics subscribed: ask `interrupted` for what was missed. */
  onCatchUp(listener: () => void): () => void;
  /** Called when the pool changed its public configuration; `configuration` and `chain` are the new ones already. */
  onConfiguration(listener: (configuration: PublicConfiguration) => void): () => void;
}

/** The scheduler's side: what the routes of both dialects need. Wallets are lower-case. */
export interface SchedulerPort {
  readonly version: string;
  configuration(): PublicConfiguration;
  chainConfiguration(): PublicChainConfig;
  isAllowed(wallet: Address): Promise<boolean>;
  register(wallet: Address, me: WorkerDescription): Promise<void>;
  ping(wallet: Address): Promise<void>;
  computing(wallet: Address): Promise<readonly TaskId[]>;
  /** Holds for up to `waitMs` (0: answer at once) until there is work for this worker. */
  demand(
    wallet: Address,
    request: { readonly blockNumber: bigint; readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<Assignment | undefined>;
  interrupted(wallet: Address, request: { readonly blockNumber: bigint }): Promise<readonly TaskNotification[]>;
  report(wallet: Address, report: StatusReport): Promise<ReportAnswer>;
}

/** Publishes notifications to the workers connected to this process. */
export interface PushServer {
  publish(notification: TaskNotification): number;
  close(): Promise<void>;
}
