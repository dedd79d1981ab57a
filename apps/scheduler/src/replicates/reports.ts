import type { RpcPool } from "@iexec-ts/chain";
import { type Address, canFollow, type ReplicateStatus, statusRow } from "@iexec-ts/poco";
import type { ReportAnswer, StatusReport } from "@iexec-ts/wire";
import type { ReplicateRecord, TaskRecord } from "../model.ts";
import type { Database, Sql } from "../store/database.ts";
import { keepLogs, noteUploadEnd, readReplicate, recordStatus } from "../store/replicates.ts";
import { signal } from "../store/signals.ts";
import { lockTask, readTask, setResult } from "../store/tasks.ts";
import { isSettled, knowsContribution, knowsReveal } from "./classes.ts";
import { nextAction } from "./next-action.ts";
import type { Verdict, Verifier } from "./verify.ts";

/** More statuses than any honest replicate has; a worker that sends more is not listened to. */
const MAX_HISTORY = 300;

/** Statuses after which a task may have something new to do. The others only lengthen the history. */
const MATERIAL_EXCEPTIONS: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
  "APP_DOWNLOADING",
  "APP_DOWNLOADED",
  "DATA_DOWNLOADING",
  "DATA_DOWNLOADED",
  "COMPUTING",
  "COMPUTED",
  "CAN_CONTRIBUTE",
  "CONTRIBUTING",
  "REVEALING",
]);

const refused = (action: ReportAnswer["action"]): ReportAnswer => ({ kind: "refused", action });

/** The v9 dialect has no positions: a status it already gave in this round is a repetition. A round begins with a request or a return. */
const SAID_BEFORE = `SELECT count(*) AS value FROM replicate_statuses WHERE task_id = $1 AND wallet = $2 AND status = $3
  AND n > coalesce((SELECT max(n) FROM replicate_statuses WHERE task_id = $1 AND wallet = $2
    AND status IN ('RECOVERING', 'RESULT_UPLOAD_REQUESTED', 'WORKER_LOST')), 0)`;

async function isRepetition(sql: Sql, { taskId, seq, status }: StatusReport, replicate: ReplicateRecord): Promise<boolean> {
  if (seq > 0) return seq <= replicate.workerSeq;
  const [times = 0] = await sql.numbers(SAID_BEFORE, [taskId, replicate.wallet, status]);
  return times > 0;
}

type Placement = "current" | "late" | "illegal";

/** Where a status belongs: at the end of the history, before something we learned from the chain, or nowhere. */
function place(replicate: ReplicateRecord, status: ReplicateStatus, verdict: Verdict): Placement {
  const { status: current, relevant, workerStatus } = replicate;
  const known =
    (status === "CONTRIBUTED" && knowsContribution(relevant)) || (status === "REVEALED" && knowsReveal(relevant)) || status === relevant;
  if (isSettled(current)) return verdict.kind === "confirmed" || canFollow(workerStatus, status) ? "late" : "illegal";
  if (verdict.kind === "confirmed") return known ? "late" : "current";
  if (canFollow(current, status)) return "current";
  return canFollow(workerStatus, status) ? "late" : "illegal";
}

/**
 * Takes a status of a replicate from its worker: checks it against the chain where the chain knows, against the transition table where only
 * the worker does, stores it once, and says what to do next.
 *
 * SIDE EFFECTS: writes the store; wakes the task.
 * Errors: SCH-1301 and SCH-1302, both worth another try.
 * @source wire.md 3.5
 */
export function createReports(deps: { readonly database: Database; readonly pool: RpcPool; readonly verifier: Verifier }): {
  report(wallet: Address, report: StatusReport): Promise<ReportAnswer>;
} {
  const { database, pool, verifier } = deps;

  const store = async (
    sql: Sql,
    task: TaskRecord,
    replicate: ReplicateRecord,
    report: StatusReport,
    verdict: Verdict,
  ): Promise<ReportAnswer> => {
    const { taskId, status, cause, details } = report;
    const { wallet } = replicate;
    if (await isRepetition(sql, report, replicate)) return { kind: "duplicate", action: undefined };
    if (replicate.history >= MAX_HISTORY) return refused("PLEASE_ABORT");
    // A worker that keeps a whole history may send back what we told it.
    if (statusRow(status).setBy === "scheduler") return { kind: "duplicate", action: undefined };
    const placement = place(replicate, status, verdict);
    // A worker whose contribution is on chain is never told to throw its result away because of a message out of place.
    if (placement === "illegal") return refused(knowsContribution(replicate.relevant) ? "PLEASE_WAIT" : "PLEASE_ABORT");
    const result = verdict.kind === "confirmed" ? verdict.result : undefined;
    const known = result === undefined || details === undefined ? details : { ...details, resultLink: result.link };
    await recordStatus(sql, {
      taskId,
      wallet,
      status,
      cause,
      setBy: "worker",
      at: report.at,
      seq: report.seq > 0 ? report.seq : undefined,
      details: known,
      chain: pool.head().timestamp,
      late: placement === "late",
    });
    if ((status === "COMPUTED" || status === "COMPUTE_FAILED") && details?.computeLogs !== undefined) {
      await keepLogs(sql, taskId, wallet, details.computeLogs);
    }
    if (status === "RESULT_UPLOADED" || status === "RESULT_UPLOAD_FAILED") await noteUploadEnd(sql, taskId, wallet, status);
    if (result !== undefined && task.resultLink === undefined) await setResult(sql, taskId, result.link, result.callback);
    if (!MATERIAL_EXCEPTIONS.has(status) || replicate.status === "CREATED") await signal(sql, "task", taskId);
    if (placement === "late")
      return { kind: "stored", action: isSettled(replicate.status) && status !== "COMPLETED" ? "PLEASE_ABORT" : "PLEASE_WAIT" };
    return { kind: "stored", action: nextAction(status, cause, task) };
  };

  return {
    async report(wallet, report) {
      const task = await readTask(database, report.taskId);
      if (task === undefined || (await readReplicate(database, report.taskId, wallet)) === undefined) return refused("PLEASE_ABORT");
      const verdict = await verifier.verify(wallet, report, task.dealId);
      if (verdict.kind === "denied") {
        await signal(database, "task", report.taskId);
        return refused(verdict.action);
      }
      return await database.transaction(async (sql) => {
        const locked = await lockTask(sql, report.taskId);
        const replicate = await readReplicate(sql, report.taskId, wallet);
        return locked === undefined || replicate === undefined
          ? refused("PLEASE_ABORT")
          : await store(sql, locked, replicate, report, verdict);
      });
    },
  };
}
