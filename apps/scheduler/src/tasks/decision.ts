import type { Address, ChainTask, ChainTime, Contribution, ReplicateStatus, TaskStatus } from "@iexec-ts/poco";
import type { AbortCause } from "@iexec-ts/wire";
import type { Order, ReplicateRecord, Sighting, TaskRecord } from "../model.ts";

/** What the chain says about a task, all read at one block. */
export interface ChainFacts {
  readonly task: ChainTask | undefined;
  /** By lower-case wallet; those never UNSET. */
  readonly contributions: ReadonlyMap<Address, Contribution>;
}

export interface Moment {
  /** Timestamp of the block at which the chain was read. */
  readonly chain: ChainTime;
  readonly wall: Date;
}

export interface Patience {
  /** From the request of an upload to its start. */
  readonly uploadStartMs: number;
  /** From the start of an upload to its end. */
  readonly uploadMs: number;
  /** Before the same worker is asked again after its upload failed; doubles each time. */
  readonly uploadRetryMs: number;
  /** For the reveal that was asked for to begin, before it is asked for again: a push may be lost. */
  readonly repeatMs: number;
  /** For the report of what is already on chain. */
  readonly unnotifiedMs: number;
  /** For the last word of a replicate after the end of its task. */
  readonly closeMs: number;
}

export type ChainCall = "initialize" | "finalize" | "reopen" | "claim";

/** One thing to do. Doing it twice is harmless, and deciding again after doing it asks for nothing twice. */
export type Effect =
  | { readonly kind: "task-status"; readonly status: TaskStatus; readonly cause: string | undefined }
  | { readonly kind: "demand"; readonly open: boolean }
  | {
      readonly kind: "replicate-status";
      readonly wallet: Address;
      readonly status: ReplicateStatus;
      readonly cause: string | undefined;
    }
  /** A wallet that contributed and that we never assigned: our memory is younger than the chain. */
  | { readonly kind: "adopt"; readonly wallet: Address }
  | {
      readonly kind: "order";
      readonly order: Order;
      /** Empty: everybody who listens. */
      readonly wallets: readonly Address[];
      readonly abortCause: AbortCause | undefined;
    }
  | { readonly kind: "request-upload"; readonly among: readonly Address[] }
  | { readonly kind: "forget-result" }
  | { readonly kind: "enclave-challenge" }
  | { readonly kind: "call"; readonly call: ChainCall }
  | { readonly kind: "close" };

export interface Decision {
  readonly effects: readonly Effect[];
  /** The next moment of chain time at which deciding again may say something else. */
  readonly wakeChain: ChainTime | undefined;
  /** The same for the wall clock. */
  readonly wakeWall: Date | undefined;
}

export interface Situation {
  readonly task: TaskRecord;
  readonly replicates: readonly ReplicateRecord[];
  readonly sightings: ReadonlyMap<Address, Sighting>;
  readonly chain: ChainFacts;
  readonly now: Moment;
  readonly patience: Patience;
}

/** Collects effects and keeps the nearest deadlines. */
export class Draft {
  readonly #effects: Effect[] = [];
  readonly #now: Moment;
  #wakeChain: ChainTime | undefined;
  #wakeWall: Date | undefined;

  constructor(now: Moment) {
    this.#now = now;
  }

  add(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** Decide again when a block at this time or later exists. Moments that have passed are ignored. */
  wakeAtChain(time: ChainTime): void {
    if (time > this.#now.chain && (this.#wakeChain === undefined || time < this.#wakeChain)) this.#wakeChain = time;
  }

  wakeAtWall(time: Date): void {
    if (time > this.#now.wall && (this.#wakeWall === undefined || time < this.#wakeWall)) this.#wakeWall = time;
  }

  decision(): Decision {
    return { effects: this.#effects, wakeChain: this.#wakeChain, wakeWall: this.#wakeWall };
  }
}

export const plusMs = (date: Date, ms: number): Date => new Date(date.getTime() + ms);
