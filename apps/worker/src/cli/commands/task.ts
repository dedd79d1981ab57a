import { statusRow } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { type Context, type Input, switchOption, textOption } from "../context.ts";
import { findTask, type JournalFacts } from "../facts/journal-facts.ts";
import { localFacts, needWallet } from "../facts/local-facts.ts";
import { taskOfIntent } from "../money/summary.ts";
import type { Json, Report } from "../report.ts";
import { rlc } from "../view/amounts.ts";
import { printable, table } from "../view/table.ts";
import { exact, relative } from "../view/time.ts";

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 100_000;

/** Errors: WRK-2012. */
export function limitOf(input: Input): number {
  const text = textOption(input, "limit");
  if (text === undefined) return DEFAULT_LIMIT;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > MAX_LIMIT) throw new CodedError("WRK-2012", { what: "--limit", expected: "a number from 1 on", got: text });
  return limit;
}

async function journalOf(context: Context): Promise<JournalFacts | undefined> {
  const facts = await localFacts(context);
  needWallet(facts, context.settings);
  return facts.journal;
}

/** Errors: SVC-13xx, WRK-2012. */
export async function taskList(context: Context, input: Input): Promise<Report> {
  const journal = await journalOf(context);
  const only = switchOption(input, "open");
  const all = [...(journal?.replicates ?? [])].reverse().filter(({ closedAt }) => !only || closedAt === undefined);
  const shown = all.slice(0, limitOf(input));
  const now = context.clock.now();
  return {
    data: {
      total: all.length,
      tasks: shown.map((replicate) => ({
        taskId: replicate.taskId,
        dealId: replicate.dealId,
        status: replicate.status,
        since: exact(replicate.updatedAt),
        createdAt: exact(replicate.createdAt),
        stakeNano: replicate.stake.toString(),
        open: replicate.closedAt === undefined,
      })),
    },
    text: (style) => {
      if (shown.length === 0) return style.plain ? "" : only ? "No task is open." : "No task so far.";
      const when = (at: Date) => (style.plain ? exact(at) : relative(at, now));
      return table(
        [
          { title: "TASK", value: ({ taskId }) => taskId, max: 18 },
          { title: "STATUS", value: ({ status }) => status },
          { title: "SINCE", value: ({ updatedAt }) => when(updatedAt) },
          { title: "GIVEN", value: ({ createdAt }) => when(createdAt) },
          { title: "STAKE", value: ({ stake }) => rlc(stake), align: "right" },
          { title: "", value: ({ closedAt }) => (closedAt === undefined ? "open" : "") },
        ],
        shown,
        style,
      );
    },
    next: shown[0] === undefined ? ["iexec-worker why-idle"] : [`iexec-worker task show ${shown[0].taskId.slice(0, 12)}`],
  };
}

/** Errors: SVC-13xx, WRK-2011. */
export async function taskShow(context: Context, input: Input): Promise<Report> {
  const journal = await journalOf(context);
  const replicate = findTask(journal, input.args[0] ?? "");
  const history = journal?.history(replicate.taskId) ?? [];
  const transactions = (journal?.transactions ?? []).filter(({ intent }) => taskOfIntent(intent.id) === replicate.taskId).reverse();
  const row = statusRow(replicate.status);
  const now = context.clock.now();
  const deadline = new Date(Number(replicate.finalDeadline) * 1_000);
  return {
    data: {
      taskId: replicate.taskId,
      dealId: replicate.dealId,
      taskIndex: replicate.taskIndex,
      status: replicate.status,
      meaning: row.meaning,
      advice: row.advice,
      stakeNano: replicate.stake.toString(),
      finalDeadline: exact(deadline),
      digest: replicate.sealed?.digest ?? null,
      failure: replicate.failure ?? null,
      resultLink: replicate.resultLink ?? null,
      history: history.map((change): Json => ({ status: change.status, cause: change.cause ?? null, at: exact(change.at) })),
      transactions: transactions.map(
        (record): Json => ({
          id: record.intent.id,
          state: record.state,
          hash: record.minedHash ?? null,
          attempts: record.attempts.length,
        }),
      ),
    },
    text: (style) => {
      const lines = [
        `Task ${style.strong(replicate.taskId)}`,
        `   deal      ${replicate.dealId}, task ${replicate.taskIndex}`,
        `   status    ${style.strong(replicate.status)} ${relative(replicate.updatedAt, now)}: ${row.meaning}`,
        `   to do     ${row.advice}`,
        `   stake     ${rlc(replicate.stake)}`,
        `   final     ${exact(deadline)} (${relative(deadline, now)})`,
      ];
      if (replicate.failure !== undefined) lines.push(`   output    a fabricated error: ${replicate.failure}`);
      if (replicate.resultLink !== undefined) lines.push(`   result    ${printable(replicate.resultLink)}`);
      lines.push(
        "",
        table(
          [
            { title: "AT", value: ({ at }) => exact(at) },
            { title: "STATUS", value: ({ status }) => status },
            { title: "CAUSE", value: ({ cause, details }) => printable(cause ?? details?.errorMessage ?? "") },
          ],
          history,
          style,
        ),
      );
      if (transactions.length > 0)
        lines.push(
          "",
          table(
            [
              { title: "TRANSACTION", value: ({ intent }) => intent.id, max: 28 },
              { title: "STATE", value: ({ state }) => state },
              { title: "TRIES", value: ({ attempts }) => String(attempts.length), align: "right" },
              { title: "HASH", value: ({ minedHash, attempts }) => minedHash ?? attempts.at(-1)?.hash ?? "-", max: 18 },
            ],
            transactions,
            style,
          ),
        );
      return lines.join("\n");
    },
    next: [`iexec-worker task logs ${replicate.taskId.slice(0, 12)}`],
  };
}

/** The app's own output, as the worker captured it; control characters are made visible at a terminal. Errors: SVC-13xx, WRK-2011. */
export async function taskLogs(context: Context, input: Input): Promise<Report> {
  const journal = await journalOf(context);
  const { taskId, status } = findTask(journal, input.args[0] ?? "");
  const change = journal?.history(taskId).findLast(({ details }) => details?.computeLogs !== undefined);
  const logs = change?.details?.computeLogs;
  const exitCode = change?.details?.exitCode;
  return {
    data: { taskId, status, exitCode: exitCode ?? null, stdout: logs?.stdout ?? null, stderr: logs?.stderr ?? null },
    text: (style) => {
      if (logs === undefined) return style.plain ? "" : `Nothing captured: the app has not ended (status ${status}).`;
      const text = (stream: string) => printable(stream.replace(/\n$/, ""));
      if (style.plain) return text(logs.stdout);
      const part = (title: string, stream: string) => [
        style.strong(`--- ${title} (what a stranger's app wrote)`),
        text(stream) || style.faint("(empty)"),
      ];
      return [...part("stdout", logs.stdout), ...part("stderr", logs.stderr), style.faint(`--- exit code ${exitCode ?? "?"}`)].join("\n");
    },
    next: [`iexec-worker task show ${taskId.slice(0, 12)}`],
  };
}
