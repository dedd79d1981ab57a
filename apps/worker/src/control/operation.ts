import type { DatabaseSync } from "node:sqlite";
import { type Clock, CodedError } from "@iexec-ts/service";
import { z } from "zod";

/** What a worker is doing about new tasks; STOPPED is what is said of one that does not run. */
export type WorkerState = "RUNNING" | "PAUSED" | "DRAINING" | "DRAINED" | "STOPPED";

/** Why no task is asked for, and since when. */
export interface Refusal {
  readonly error: CodedError;
  readonly since: Date;
}

/** Asked for by the operator; kept until it is over or taken back, also across restarts. */
export interface Pause {
  readonly since: Date;
  /** Undefined: until `resume`. */
  readonly until: Date | undefined;
}

const moment = z.iso.datetime().transform((text) => new Date(text));
const pauseSchema = z.object({ since: moment, until: moment.nullable().transform((until) => until ?? undefined) });

/** The pause a journal remembers, or undefined when there is none or it is over. */
export function readPause(db: DatabaseSync, now: Date): Pause | undefined {
  const row = db.prepare("SELECT value FROM memory WHERE name = 'pause'").get();
  if (row === undefined) return undefined;
  const pause = pauseSchema.parse(JSON.parse(String(row.value)));
  return pause.until !== undefined && pause.until <= now ? undefined : pause;
}

/** SIDE EFFECTS: writes the journal. */
export function writePause(db: DatabaseSync, pause: Pause | undefined): void {
  if (pause === undefined) {
    db.exec("DELETE FROM memory WHERE name = 'pause'");
    return;
  }
  const value = JSON.stringify({ since: pause.since.toISOString(), until: pause.until?.toISOString() ?? null });
  db.prepare("INSERT INTO memory (name, value) VALUES ('pause', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value").run(value);
}

/** A clock that is set while we sleep is noticed after this time. */
const LOOK_MS = 60_000;

/** What the operator wants of a running worker: to work, to pause, or to finish and stop. */
export class Operation {
  readonly #db: DatabaseSync;
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  readonly #startedAt: Date;
  #pause: Pause | undefined;
  #ending: { readonly state: "DRAINING" | "DRAINED" | "STOPPED"; readonly since: Date } | undefined;
  #timer = new AbortController();

  constructor(db: DatabaseSync, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
    this.#startedAt = clock.now();
    this.#pause = readPause(db, clock.now());
    this.#watchEnd();
  }

  get pause(): Pause | undefined {
    return this.#pause;
  }

  get state(): WorkerState {
    return this.#ending?.state ?? (this.#pause === undefined ? "RUNNING" : "PAUSED");
  }

  get since(): Date {
    return this.#ending?.since ?? this.#pause?.since ?? this.#startedAt;
  }

  /** Why no task may be asked for, or undefined. */
  refusal(): CodedError | undefined {
    if (this.#ending !== undefined) return new CodedError("WRK-1511");
    if (this.#pause === undefined) return undefined;
    const { until } = this.#pause;
    return new CodedError("WRK-1510", { until: until === undefined ? "until you resume it" : `until ${until.toISOString()}` });
  }

  /** SIDE EFFECTS: writes the journal. */
  pauseUntil(until: Date | undefined): Pause {
    this.#set({ since: this.#pause?.since ?? this.#clock.now(), until });
    return { since: this.since, until };
  }

  /** Also takes a drain back. SIDE EFFECTS: writes the journal. @returns the pause that ended, if there was one */
  resume(): Pause | undefined {
    const before = this.#pause;
    if (this.#ending?.state === "DRAINING") this.#ending = undefined;
    this.#set(undefined);
    return before;
  }

  /** The last thing asked for: what follows is the end of this run. */
  end(state: "DRAINING" | "DRAINED" | "STOPPED"): void {
    this.#ending = { state, since: this.#clock.now() };
    this.#tell();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#timer.abort();
    this.#listeners.clear();
  }

  #set(pause: Pause | undefined): void {
    writePause(this.#db, pause);
    this.#pause = pause;
    this.#watchEnd();
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }

  #watchEnd(): void {
    this.#timer.abort();
    this.#timer = new AbortController();
    const until = this.#pause?.until;
    if (until === undefined) return;
    const { signal } = this.#timer;
    const wait = async (): Promise<void> => {
      for (let left = this.#left(until); left > 0; left = this.#left(until)) await this.#clock.sleep(Math.min(left, LOOK_MS), signal);
      this.#set(undefined);
    };
    // Aborted when the pause is changed or the worker ends.
    wait().catch(() => undefined);
  }

  #left(until: Date): number {
    return until.getTime() - this.#clock.now().getTime();
  }
}
