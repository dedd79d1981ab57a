import { type Context, type Input, switchOption } from "../context.ts";
import { EXIT, type Report } from "../report.ts";
import { rlc, signedRlc } from "../view/amounts.ts";
import { table } from "../view/table.ts";
import { exact, relative } from "../view/time.ts";
import { openTasks, reconciliation } from "./earnings.ts";
import { withLedger } from "./money-context.ts";
import { applyAll, type Entry, freeChange, lockedChange } from "./movements.ts";
import { csv } from "./summary.ts";

interface Line extends Entry {
  readonly at: Date | undefined;
  readonly freeAfter: bigint;
  readonly lockedAfter: bigint;
}

/**
 * Every movement of the account with its proof; a gap to the chain's own account is an error, not a footnote.
 *
 * Errors: SVC-13xx, WRK-2009, WRK-2012, CHN-….
 */
export async function ledger(context: Context, input: Input): Promise<Report> {
  return withLedger(context, input, ({ wallet, ledger: read, journal }) => {
    let standing = read.opening ?? { free: 0n, locked: 0n };
    const lines = read.entries.map((entry): Line => {
      standing = applyAll(standing, [entry]);
      return { ...entry, at: read.times.get(entry.block), freeAfter: standing.free, lockedAfter: standing.locked };
    });
    const openIds = openTasks(read);
    const open = openIds.map((taskId) => {
      const lock = lines.findLast((line) => line.kind === "lock" && line.taskId === taskId);
      const replicate = journal?.replicates.find((each) => each.taskId === taskId);
      const until = replicate === undefined ? undefined : new Date(Number(replicate.finalDeadline) * 1_000);
      return { taskId, amount: lock?.amount ?? 0n, since: lock?.at, until, status: replicate?.status };
    });
    const complete = read.gap !== undefined && read.gap.free === 0n && read.gap.locked === 0n;
    return {
      data: {
        wallet,
        fromBlock: read.fromBlock.toString(),
        toBlock: read.toBlock.toString(),
        reconciled: read.gap === undefined ? null : complete,
        gap: read.gap === undefined ? null : { freeNano: read.gap.free.toString(), lockedNano: read.gap.locked.toString() },
        closing: { freeNano: read.closing.free.toString(), lockedNano: read.closing.locked.toString() },
        open: open.map(({ taskId, amount, since, until }) => ({
          taskId,
          lockedNano: amount.toString(),
          since: since === undefined ? null : exact(since),
          until: until === undefined ? null : exact(until),
        })),
        entries: lines.map((line) => ({
          at: line.at === undefined ? null : exact(line.at),
          kind: line.kind,
          amountNano: line.amount.toString(),
          freeChangeNano: freeChange(line).toString(),
          lockedChangeNano: lockedChange(line).toString(),
          taskId: line.taskId ?? null,
          block: line.block.toString(),
          transaction: line.transaction,
        })),
      },
      text: (style) => {
        if (switchOption(input, "csv")) return asCsv(lines);
        const now = context.clock.now();
        const when = (at: Date | undefined) => (at === undefined ? "?" : style.plain ? exact(at) : relative(at, now));
        const parts: string[] = [];
        if (!style.plain && open.length > 0) {
          parts.push(
            `Not settled (${open.length})`,
            table(
              [
                { title: "TASK", value: (item) => item.taskId, max: 18 },
                { title: "LOCKED", value: (item) => rlc(item.amount), align: "right" },
                { title: "SINCE", value: (item) => when(item.since) },
                { title: "FREE AT THE LATEST", value: (item) => (item.until === undefined ? "not in this journal" : when(item.until)) },
              ],
              open,
              style,
            ),
            "",
          );
        }
        parts.push(
          table(
            [
              { title: "WHEN", value: (line) => when(line.at) },
              { title: "WHAT", value: (line) => line.kind },
              { title: "FREE", value: (line) => signedRlc(freeChange(line)), align: "right" },
              { title: "LOCKED", value: (line) => signedRlc(lockedChange(line)), align: "right" },
              { title: "FREE AFTER", value: (line) => rlc(line.freeAfter), align: "right" },
              { title: "TASK", value: (line) => line.taskId ?? "-", max: 14 },
              { title: "TRANSACTION", value: (line) => line.transaction, max: 14 },
            ],
            [...lines].reverse(),
            style,
          ),
        );
        if (!style.plain) parts.push("", reconciliation(read, style));
        return parts.join("\n");
      },
      ...(read.gap !== undefined && !complete ? { exit: EXIT.failed } : {}),
      next: open.length > 0 ? ["iexec-worker task list --open"] : ["iexec-worker earnings --by task"],
    };
  });
}

const asCsv = (lines: readonly Line[]): string =>
  csv(
    ["at", "what", "free_change_nrlc", "locked_change_nrlc", "free_after_nrlc", "locked_after_nrlc", "task", "block", "transaction"],
    lines.map((line) => [
      line.at === undefined ? "" : exact(line.at),
      line.kind,
      `${freeChange(line)}`,
      `${lockedChange(line)}`,
      `${line.freeAfter}`,
      `${line.lockedAfter}`,
      line.taskId ?? "",
      `${line.block}`,
      line.transaction,
    ]),
  );
