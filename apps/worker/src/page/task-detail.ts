import { statusRow } from "@iexec-ts/poco";
import { taskOfIntent } from "../cli/money/summary.ts";
import { rlc } from "../cli/view/amounts.ts";
import type { Replicate, StatusChange } from "../replicate/replicate.ts";
import type { Inside } from "./inside-facts.ts";
import type { TaskDetail } from "./model.ts";

const LAST_TRANSACTIONS = 1_000;

/** What a reader may see of a replicate; amounts as decimal strings of nRLC. */
export const taskSummary = (replicate: Replicate) => ({
  taskId: replicate.taskId,
  dealId: replicate.dealId,
  taskIndex: replicate.taskIndex,
  status: replicate.status,
  meaning: statusRow(replicate.status).meaning,
  advice: statusRow(replicate.status).advice,
  stake: replicate.stake.toString(),
  stakeText: rlc(replicate.stake),
  since: replicate.updatedAt.toISOString(),
  finalDeadline: new Date(Number(replicate.finalDeadline) * 1_000).toISOString(),
  failure: replicate.failure ?? null,
  digest: replicate.sealed?.digest ?? null,
  resultLink: replicate.resultLink ?? null,
});

const changeView = (change: StatusChange) => ({
  seq: change.seq,
  status: change.status,
  cause: change.cause ?? change.details?.errorMessage ?? null,
  at: change.at.toISOString(),
});

/** One task with all that happened to it, and its transactions, newest first. */
export async function taskDetail({ journal, queue }: Pick<Inside, "journal" | "queue">, replicate: Replicate): Promise<TaskDetail> {
  const records = (await queue.list(LAST_TRANSACTIONS)).filter(({ intent }) => taskOfIntent(intent.id) === replicate.taskId);
  return {
    ...taskSummary(replicate),
    history: journal.history(replicate.taskId).map(changeView),
    transactions: records.map(({ intent, state, minedHash, attempts, note }) => ({
      id: intent.id,
      state,
      hash: minedHash ?? null,
      attempts: attempts.length,
      note: note ?? null,
    })),
  };
}
