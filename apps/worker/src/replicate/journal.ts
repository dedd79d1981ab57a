import { DatabaseSync } from "node:sqlite";
import {
  type Address,
  type ContributedFailure,
  canFollow,
  type ReplicateStatus,
  type TaskId,
  type WorkerpoolAuthorization,
} from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import type { StatusDetails } from "@iexec-ts/wire";
import type { AbortWish, OurContribution, Replicate, Sealed, StatusChange } from "./replicate.ts";
import { contributionFromRow, detailsToText, replicateFromRow, statusChangeFromRow } from "./rows.ts";
import { prepareJournal } from "./schema.ts";

/** Statuses that tell what happened to the worker, not how far the task got. */
const ASIDE: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>(["RECOVERING", "WORKER_LOST", "OUT_OF_GAS"]);

export interface NewReplicate {
  readonly authorization: WorkerpoolAuthorization;
  readonly smsUrl: string | undefined;
  readonly stake: bigint;
  readonly finalDeadline: bigint;
}

export type ReplicateFacts = Partial<{
  readonly computeDeadline: Date;
  readonly failure: ContributedFailure;
  readonly sealed: Sealed;
  readonly resultLink: string;
  readonly uploadRequested: boolean;
  readonly abort: AbortWish;
}>;

/**
 * The worker's durable memory: what it was given, how far it got, what it owes the chain and what it still has to tell its scheduler.
 *
 * Every method has reached the disk when it returns. One journal belongs to one wallet for ever.
 */
export class Journal {
  readonly db: DatabaseSync;
  readonly #now: () => Date;
  readonly #listeners = new Set<(change: StatusChange, replicate: Replicate) => void>();

  /**
   * SIDE EFFECTS: creates or opens the file and upgrades its schema.
   * Errors: WRK-1302 when the journal belongs to another wallet.
   */
  constructor(path: string, owner: Address, now: () => Date) {
    this.db = new DatabaseSync(path);
    this.#now = now;
    prepareJournal(this.db);
    const known = this.db.prepare("SELECT address FROM owner").get()?.address;
    if (known === undefined) this.db.prepare("INSERT INTO owner VALUES (?)").run(owner);
    else if (known !== owner) {
      this.db.close();
      throw new CodedError("WRK-1302", { path, known: String(known), wallet: owner });
    }
  }

  /** Called after each recorded status; must not throw. */
  onChange(listener: (change: StatusChange, replicate: Replicate) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Inserts a replicate in status CREATED, or returns the one this journal already has for the task. */
  open(given: NewReplicate): { readonly replicate: Replicate; readonly known: boolean } {
    const taskId = given.authorization.chainTaskId;
    const known = this.find(taskId);
    if (known !== undefined) return { replicate: known, known: true };
    const at = this.#now().getTime();
    this.#transaction(() => {
      this.db
        .prepare(
          `INSERT INTO replicate (task_id, deal_id, task_index, "authorization", sms_url, status, progress, seq, created_at, updated_at, stake, final_deadline)
           VALUES (?, ?, ?, ?, ?, 'CREATED', 'CREATED', 0, ?, ?, ?, ?)`,
        )
        .run(
          taskId,
          given.authorization.dealId,
          given.authorization.taskIndex,
          JSON.stringify(given.authorization),
          given.smsUrl ?? null,
          at,
          at,
          given.stake.toString(),
          given.finalDeadline.toString(),
        );
      // The scheduler set CREATED itself: nothing to deliver.
      this.db
        .prepare("INSERT INTO status_change (task_id, seq, status, at, delivered_at) VALUES (?, 0, 'CREATED', ?, ?)")
        .run(taskId, at, at);
    });
    const replicate = this.get(taskId);
    this.#tell({ taskId, seq: 0, status: "CREATED", cause: undefined, at: new Date(at), details: undefined }, replicate);
    return { replicate, known: false };
  }

  /**
   * Records the next status of a replicate together with the facts that came with it.
   *
   * `mirror` marks a status that the scheduler set: it is remembered but not reported back.
   * Errors: WRK-1303 when the table of statuses does not allow the step; nothing is written then.
   */
  record(
    taskId: TaskId,
    status: ReplicateStatus,
    with_: { readonly cause?: string; readonly details?: StatusDetails; readonly facts?: ReplicateFacts; readonly mirror?: boolean } = {},
  ): Replicate {
    const before = this.get(taskId);
    if (!canFollow(before.status, status)) throw new CodedError("WRK-1303", { taskId, from: before.status, to: status });
    const at = this.#now();
    const change: StatusChange = { taskId, seq: before.seq + 1, status, cause: with_.cause, at, details: with_.details };
    this.#transaction(() => {
      this.db
        .prepare("INSERT INTO status_change (task_id, seq, status, cause, at, details, delivered_at) VALUES (?, ?, ?, ?, ?, ?, ?)")
        .run(
          taskId,
          change.seq,
          status,
          with_.cause ?? null,
          at.getTime(),
          detailsToText(with_.details),
          with_.mirror === true ? at.getTime() : null,
        );
      this.db
        .prepare("UPDATE replicate SET status = ?, progress = ?, seq = ?, updated_at = ? WHERE task_id = ?")
        .run(status, ASIDE.has(status) ? before.progress : status, change.seq, at.getTime(), taskId);
      if (with_.facts !== undefined) this.#writeFacts(taskId, with_.facts);
    });
    const after = this.get(taskId);
    this.#tell(change, after);
    return after;
  }

  /** Adds facts without a status change. */
  note(taskId: TaskId, facts: ReplicateFacts): Replicate {
    this.#transaction(() => this.#writeFacts(taskId, facts));
    return this.get(taskId);
  }

  /**
   * Checks and inserts atomically: the same contribution again is fine, a different one for the same task is refused for ever.
   *
   * Errors: WRK-1301.
   */
  registerContribution(contribution: OurContribution): OurContribution {
    return this.#transaction(() => {
      const known = this.contribution(contribution.taskId);
      if (known === undefined) {
        this.db
          .prepare(
            "INSERT INTO contribution (task_id, worker, digest, result_hash, result_seal, callback_data, at) VALUES (?, ?, ?, ?, ?, ?, ?)",
          )
          .run(
            contribution.taskId,
            contribution.worker,
            contribution.digest,
            contribution.resultHash,
            contribution.resultSeal,
            contribution.callbackData ?? null,
            this.#now().getTime(),
          );
        return contribution;
      }
      if (known.resultHash === contribution.resultHash && known.resultSeal === contribution.resultSeal) return known;
      throw new CodedError("WRK-1301", { taskId: contribution.taskId, known: known.resultHash, wanted: contribution.resultHash });
    });
  }

  contribution(taskId: TaskId): OurContribution | undefined {
    const row = this.db.prepare("SELECT * FROM contribution WHERE task_id = ?").get(taskId);
    return row === undefined ? undefined : contributionFromRow(row);
  }

  close(taskId: TaskId): void {
    this.db.prepare("UPDATE replicate SET closed_at = ? WHERE task_id = ?").run(this.#now().getTime(), taskId);
  }

  find(taskId: TaskId): Replicate | undefined {
    const row = this.db.prepare("SELECT * FROM replicate WHERE task_id = ?").get(taskId);
    return row === undefined ? undefined : replicateFromRow(row);
  }

  get(taskId: TaskId): Replicate {
    const replicate = this.find(taskId);
    if (replicate === undefined) throw new CodedError("WRK-1304", { taskId });
    return replicate;
  }

  /** Replicates with something left to do, oldest first. */
  unfinished(): readonly Replicate[] {
    return this.db.prepare("SELECT * FROM replicate WHERE closed_at IS NULL ORDER BY created_at, task_id").all().map(replicateFromRow);
  }

  /** Newest first. */
  list(limit: number): readonly Replicate[] {
    return this.db.prepare("SELECT * FROM replicate ORDER BY created_at DESC, task_id LIMIT ?").all(limit).map(replicateFromRow);
  }

  history(taskId: TaskId): readonly StatusChange[] {
    return this.db.prepare("SELECT * FROM status_change WHERE task_id = ? ORDER BY seq").all(taskId).map(statusChangeFromRow);
  }

  /** Status changes of one task that its scheduler has not acknowledged, in order. */
  undelivered(taskId: TaskId): readonly StatusChange[] {
    return this.db
      .prepare("SELECT * FROM status_change WHERE task_id = ? AND delivered_at IS NULL ORDER BY seq")
      .all(taskId)
      .map(statusChangeFromRow);
  }

  tasksWithUndelivered(): readonly TaskId[] {
    return this.db
      .prepare("SELECT DISTINCT task_id FROM status_change WHERE delivered_at IS NULL")
      .all()
      .map((row) => statusTaskId(row.task_id));
  }

  delivered(taskId: TaskId, seq: number): void {
    this.db.prepare("UPDATE status_change SET delivered_at = ? WHERE task_id = ? AND seq = ?").run(this.#now().getTime(), taskId, seq);
  }

  /** Stake promised by replicates that have not contributed yet, without `except`. */
  promisedStake(except: TaskId): bigint {
    return this.unfinished()
      .filter((r) => r.taskId !== except && this.contribution(r.taskId) === undefined)
      .reduce((sum, r) => sum + r.stake, 0n);
  }

  shut(): void {
    this.db.close();
  }

  #writeFacts(taskId: TaskId, facts: ReplicateFacts): void {
    const columns: Record<string, string | number | null> = {};
    if (facts.computeDeadline !== undefined) columns.compute_deadline = facts.computeDeadline.getTime();
    if (facts.failure !== undefined) columns.failure = facts.failure;
    if (facts.sealed !== undefined) {
      columns.digest = facts.sealed.digest;
      columns.callback_data = facts.sealed.callbackData ?? null;
      columns.zip_path = facts.sealed.zipPath;
      columns.zip_sha256 = facts.sealed.zipSha256;
    }
    if (facts.resultLink !== undefined) columns.result_link = facts.resultLink;
    if (facts.uploadRequested !== undefined) columns.upload_requested = facts.uploadRequested ? 1 : 0;
    if (facts.abort !== undefined) columns.abort = facts.abort;
    const names = Object.keys(columns);
    if (names.length === 0) return;
    const assignments = names.map((name) => `${name} = ?`).join(", ");
    this.db.prepare(`UPDATE replicate SET ${assignments} WHERE task_id = ?`).run(...Object.values(columns), taskId);
  }

  #transaction<T>(work: () => T): T {
    this.db.exec("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.db.exec("COMMIT");
      return result;
    } catch (thrown) {
      this.db.exec("ROLLBACK");
      throw thrown;
    }
  }

  #tell(change: StatusChange, replicate: Replicate): void {
    for (const listener of this.#listeners) listener(change, replicate);
  }
}

function statusTaskId(value: unknown): TaskId {
  const text = String(value);
  if (!text.startsWith("0x")) throw new CodedError("WRK-1304", { taskId: text });
  return `0x${text.slice(2)}`;
}
