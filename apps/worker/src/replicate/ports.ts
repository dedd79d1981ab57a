import type { Hub, RpcPool, TxQueue } from "@iexec-ts/chain";
import type { FetchPolicy, OutputLimits } from "@iexec-ts/payload";
import type { Address, EnvironmentMode, ErrorTextVersion, PullTimeoutBounds } from "@iexec-ts/poco";
import type { Limits, NetworkPolicy, Sandbox } from "@iexec-ts/sandbox";
import type { Clock, Logger } from "@iexec-ts/service";
import type { Journal } from "./journal.ts";
import type { ResultStore } from "./result-store.ts";

/**
 * Named instants between two effects. Production passes a function that does nothing; the crash scenarios pass one that kills the process
 * at a chosen name.
 */
export type Checkpoint = (name: string) => void;

/** How this worker treats the bytes and the containers of a task. */
export interface TaskPolicy {
  readonly limits: Limits;
  readonly network: NetworkPolicy;
  readonly fetch: FetchPolicy;
  readonly output: OutputLimits;
  /** Called while an output is sealed, each time a part of it was written; for whoever watches over the stage. */
  readonly onSealing?: () => void;
  readonly pullTimeout: PullTimeoutBounds;
  /** Variables an app is given. */
  readonly environment: EnvironmentMode;
  /** Worker generation whose error texts this pool agrees on. @source compute.md 2.6 */
  readonly errorText: ErrorTextVersion;
}

/** What a stage asks of the journal, and writes to it. */
export type ReplicateJournal = Pick<
  Journal,
  "find" | "get" | "history" | "unfinished" | "contribution" | "promisedStake" | "record" | "note" | "registerContribution" | "close"
>;

/** Everything a stage may touch. */
export interface Ports {
  readonly name: string;
  readonly worker: Address;
  /** {base dir}/{worker name}: one folder per task below it. */
  readonly tasksDir: string;
  readonly journal: ReplicateJournal;
  readonly pool: Pick<RpcPool, "onHead" | "waitForBlock">;
  readonly hub: Hub;
  readonly queue: Pick<TxQueue, "submit" | "quote">;
  readonly sandbox: Pick<Sandbox, "pull" | "run" | "reap" | "list" | "findImage">;
  /** Resolves when an app may run on this host. Errors: SBX-1501. */
  readonly isolation: { ready(signal: AbortSignal): Promise<void> };
  readonly results: ResultStore;
  /** As the settings are now. */
  readonly policy: TaskPolicy;
  /** Blocks a consensus must have before our result is revealed, its own included. */
  readonly confirmations: bigint;
  readonly clock: Clock;
  readonly log: Logger;
  readonly checkpoint: Checkpoint;
}
