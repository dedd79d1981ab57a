import { createTxQueue, sqliteOutbox } from "@iexec-ts/chain";
import { privateKeyToAccount } from "viem/accounts";
import { z } from "zod";
import { revealNow } from "../../control/emergency-reveal.ts";
import { withOwnJournal } from "../../control/own-journal.ts";
import { abortTask, lossOf, retryUpload } from "../../control/task-actions.ts";
import type { Replicate } from "../../replicate/replicate.ts";
import { openWallet } from "../../wallet/password.ts";
import { type Context, type Input, switchOption } from "../context.ts";
import { withChain } from "../facts/chain-facts.ts";
import { findTask } from "../facts/journal-facts.ts";
import type { Report } from "../report.ts";
import { confirmed } from "./confirm.ts";
import { ask, type Reached, reach } from "./control.ts";

const short = ({ taskId }: Pick<Replicate, "taskId">): string => taskId.slice(0, 12);
const abortedSchema = z.object({ status: z.string(), loss: z.string().nullable() });
const revealedSchema = z.object({ transaction: z.string().nullable(), block: z.string().nullable() });
const statusSchema = z.object({ status: z.string() });

/**
 * Gives a task up; works whether the worker runs or not.
 *
 * Errors: WRK-1513, WRK-1521 it would cost stake, WRK-1522 it is over, WRK-2011. SIDE EFFECTS: the worker drops the task.
 */
export async function taskAbort(context: Context, input: Input): Promise<Report> {
  const reached = await reach(context);
  const task = findTask(reached.facts.journal, input.args[0] ?? "");
  const force = switchOption(input, "force");
  const loss = lossOf(task, reached.facts.journal?.contributed.has(task.taskId) === true);
  if (loss === undefined || force)
    await confirmed(context, input, `Abort task ${short(task)} (${task.status})${loss === undefined ? "" : `: ${loss}`}?`);
  const seen = reached.running
    ? abortedSchema.parse(await ask(context, reached, "task-abort", { taskId: task.taskId, force }, "task abort"))
    : await withOwnJournal(context, reached.wallet, (journal) => {
        const done = abortTask(journal, task.taskId, force);
        return { status: done.status, loss: done.loss ?? null };
      });
  return {
    data: { taskId: task.taskId, before: seen.status, loss: seen.loss, running: reached.running },
    text: (style) =>
      [
        `${style.mark("ok")} task ${short(task)}: ${seen.status} -> given up${reached.running ? "" : " when the worker starts"}`,
        seen.loss === null ? "   it costs no stake" : `${style.mark("bad")} ${seen.loss}`,
      ].join("\n"),
    next: [`iexec-worker task show ${short(task)}`],
  };
}

/**
 * Emergency: reveals from the journal and one node alone, with the worker or, when it does not run, in its place.
 *
 * Errors: WRK-1304 nothing was contributed, WRK-1522 the chain does not want it, WRK-1523 it did not succeed, WRK-2011; those of the wallet
 * and the nodes. SIDE EFFECTS: sends at most one transaction; the same one the worker would send.
 */
export async function taskReveal(context: Context, input: Input): Promise<Report> {
  const reached = await reach(context);
  const task = findTask(reached.facts.journal, input.args[0] ?? "");
  const seen = reached.running
    ? revealedSchema.parse(await ask(context, reached, "task-reveal", { taskId: task.taskId }, "task reveal"))
    : await revealAlone(context, reached, task);
  return {
    data: { taskId: task.taskId, transaction: seen.transaction, block: seen.block, running: reached.running },
    text: (style) =>
      seen.transaction === null
        ? `${style.mark("ok")} task ${short(task)} is revealed already; nothing was sent`
        : `${style.mark("ok")} task ${short(task)}: ${task.status} -> ${style.strong("revealed")} in block ${seen.block}, transaction ${seen.transaction}`,
    next: reached.running ? [`iexec-worker task show ${short(task)}`] : ["iexec-worker start"],
  };
}

async function revealAlone(context: Context, reached: Reached, task: Replicate): Promise<z.output<typeof revealedSchema>> {
  const { settings, clock, signal } = context;
  const wallet = await openWallet(context);
  return withChain(context, reached.facts.journal, (chain) =>
    withOwnJournal(context, reached.wallet, async (journal) => {
      const queue = await createTxQueue(
        {
          pool: chain.pool,
          account: privateKeyToAccount(wallet.privateKey.reveal()),
          store: sqliteOutbox(journal.db),
          gas: { multiplier: settings.gasPriceMultiplier, cap: settings.gasPriceCap },
          confirmations: settings.confirmations,
        },
        { clock },
      );
      try {
        context.tell(`Revealing ${short(task)}...`);
        const { outcome } = await revealNow(task.taskId, { journal, hub: chain.hub, queue, worker: reached.wallet }, signal);
        return { transaction: outcome?.hash ?? null, block: outcome?.receipt.blockNumber.toString() ?? null };
      } finally {
        await queue.close();
      }
    }),
  );
}

/**
 * Uploads a result again, as if the scheduler had asked for it; works whether the worker runs or not.
 *
 * Errors: WRK-1513, WRK-1522 it is over, not revealed yet or uploaded already, WRK-2011. SIDE EFFECTS: the worker uploads.
 */
export async function taskRetryUpload(context: Context, input: Input): Promise<Report> {
  const reached = await reach(context);
  const task = findTask(reached.facts.journal, input.args[0] ?? "");
  const { status } = reached.running
    ? statusSchema.parse(await ask(context, reached, "task-retry-upload", { taskId: task.taskId }, "task retry-upload"))
    : { status: await withOwnJournal(context, reached.wallet, (journal) => retryUpload(journal, task.taskId)) };
  return {
    data: { taskId: task.taskId, before: status, running: reached.running },
    text: (style) =>
      `${style.mark("ok")} task ${short(task)}: ${status} -> uploads again${reached.running ? "" : " when the worker starts"}`,
    next: reached.running ? [`iexec-worker task show ${short(task)}`] : ["iexec-worker start"],
  };
}
