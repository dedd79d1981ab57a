import type { Address } from "@iexec-ts/poco";
import type { Clock, CodedError, Logger, Metrics, Random, Watchdog } from "@iexec-ts/service";
import type { SchedulerConnection } from "@iexec-ts/wire";
import type { PrivateKeyAccount } from "viem";
import type { ChainSide } from "./chain-side.ts";
import type { WorkerSettings } from "./config.ts";
import type { StopHow } from "./control/desk.ts";
import type { LiveSettings } from "./control/live-settings.ts";
import type { Operation, Refusal } from "./control/operation.ts";
import type { HostFacts } from "./manners/host-facts.ts";
import type { Journal } from "./replicate/journal.ts";
import type { Checkpoint } from "./replicate/ports.ts";
import type { Replicate, StatusChange } from "./replicate/replicate.ts";
import type { Standing } from "./standing.ts";
import type { Tee } from "./tee/tee.ts";

export interface WorkerOptions {
  readonly settings: WorkerSettings;
  readonly account: PrivateKeyAccount;
}

export interface WorkerDeps {
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly checkpoint?: Checkpoint;
  /** Watches every loop that owes something; one for the process. */
  readonly watchdog?: Watchdog;
  /** Gives up starting. */
  readonly signal?: AbortSignal;
  /** For the scenarios of stopping: the part whose end hangs. */
  readonly hangAt?: string | undefined;
  /** Where the host's `/proc`, `/dev` and `/sys` are looked for; `/` unless told. */
  readonly hostRoot?: string;
  /** The machine it is a guest on. */
  readonly host?: HostFacts;
  /** Id of the Docker container it runs in. */
  readonly ownContainer?: string;
  /** Settings that change while it runs; without them all stay as given. */
  readonly live?: LiveSettings;
  /** Ends the program, for the operator's commands; without it they end this worker alone. */
  readonly stop?: (how: StopHow) => void;
}

export interface WorkerHandle extends Pick<ChainSide, "pool" | "hub" | "queue"> {
  readonly address: Address;
  readonly journal: Journal;
  /** Undefined while the scheduler has not been reached since the start. */
  readonly link: SchedulerConnection | undefined;
  /** Resolves when the worker is registered with its scheduler. */
  readonly joined: Promise<void>;
  /** Resolves with the reason when the worker stopped by itself. */
  readonly halted: Promise<CodedError>;
  /** What the operator wants: to work, to pause, to finish. */
  readonly operation: Operation;
  /** What it found of trusted execution on its host. */
  readonly tee: Tee;
  /** Which loops missed their beat. */
  readonly watchdog: Pick<Watchdog, "onStall" | "stalls">;
  /** What does not move at this moment, or did not move for a while. */
  readonly standing: Standing;
  /** Why it asked for no task when it last looked; undefined while it asks, or has not joined yet. */
  readonly refusal: Refusal | undefined;
  /** Errors are counted from the start. */
  readonly metrics: Metrics;
  onStatus(listener: (change: StatusChange, replicate: Replicate) => void): () => void;
  /**
   * Stops asking, leaves what is under way resumable, closes everything. Idempotent.
   *
   * Errors: SVC-1602 naming what did not end.
   * @param signal - there is no more time: what hangs is left behind, the rest is closed at once
   */
  close(signal?: AbortSignal): Promise<void>;
}
