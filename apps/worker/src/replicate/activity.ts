import type { TaskId } from "@iexec-ts/poco";
import type { CodedError } from "@iexec-ts/service";
import type { Stage } from "./decide.ts";

/** What is done for a replicate at this moment. */
export interface Activity {
  /** The stage that runs, or undefined while it waits. */
  readonly stage: Stage | undefined;
  /** In words for a person: what it waits for, or why it did not get on; undefined while nothing holds it up. */
  readonly because: string | undefined;
  /** Since when it does this. */
  readonly since: Date;
}

/** Remembers what each replicate does, so that one that does not get on can be told with its reason. */
export class ActivityNotes {
  readonly #notes = new Map<TaskId, Activity>();

  of(taskId: TaskId): Activity | undefined {
    return this.#notes.get(taskId);
  }

  works(taskId: TaskId, stage: Stage, now: Date): void {
    const before = this.#notes.get(taskId);
    // A stage that is tried again keeps its beginning, and why it is tried again.
    if (before?.stage !== stage) this.#notes.set(taskId, { stage, because: undefined, since: now });
  }

  waits(taskId: TaskId, because: string, now: Date): void {
    const before = this.#notes.get(taskId);
    if (before?.stage !== undefined || before?.because !== because) this.#notes.set(taskId, { stage: undefined, because, since: now });
  }

  failed(taskId: TaskId, { code, message }: CodedError, now: Date): void {
    const before = this.#notes.get(taskId);
    this.#notes.set(taskId, { stage: before?.stage, because: `${message} (${code})`, since: before?.since ?? now });
  }

  /** What was done is done. */
  moved(taskId: TaskId): void {
    this.#notes.delete(taskId);
  }

  forget(taskId: TaskId): void {
    this.#notes.delete(taskId);
  }
}
