import type { TxRecord } from "@iexec-ts/chain";
import { CodedError } from "@iexec-ts/service";
import { type Context, type Input, switchOption, textOption } from "../context.ts";
import type { Report } from "../report.ts";
import { coins, rlc } from "../view/amounts.ts";
import { table } from "../view/table.ts";
import { withLedger } from "./money-context.ts";
import type { LedgerRead } from "./read-ledger.ts";
import { csv, gasPayments, type Sum, summarise, taskOfIntent, total } from "./summary.ts";

type Grouping = "task" | "day";

function groupingOf(input: Input): Grouping {
  const by = textOption(input, "by") ?? "day";
  if (by !== "task" && by !== "day") throw new CodedError("WRK-2012", { what: "--by", expected: "task or day", got: by });
  return by;
}

/** The UTC day of an instant, as rows of earnings are named. */
export const day = (at: Date | undefined): string => at?.toISOString().slice(0, 10) ?? "?";

/** What each day brought, by the block of each event; gas by the journal. */
export const sumsByDay = ({ entries, times }: Pick<LedgerRead, "entries" | "times">, records: readonly TxRecord[]): readonly Sum[] =>
  summarise(
    entries,
    ({ block }) => day(times.get(block)),
    gasPayments(records, ({ intent, updatedAt }) => (taskOfIntent(intent.id) === undefined ? undefined : day(updatedAt))),
  );

/**
 * What the worker earned, lost and spent. Days are UTC, by the block of each event; gas is that of the worker's own journal.
 *
 * Errors: SVC-13xx, WRK-2009, WRK-2012, CHN-….
 */
export async function earnings(context: Context, input: Input): Promise<Report> {
  const by = groupingOf(input);
  return withLedger(context, input, ({ wallet, chain, journal, ledger }) => {
    const records = journal?.transactions ?? [];
    const sums =
      by === "task"
        ? summarise(
            ledger.entries,
            ({ taskId }) => taskId,
            gasPayments(records, ({ intent }) => taskOfIntent(intent.id)),
          )
        : sumsByDay(ledger, records);
    const sorted = by === "day" ? [...sums].sort((one, other) => one.key.localeCompare(other.key)) : sums;
    const all = total(sorted);
    const open = openTasks(ledger);
    return {
      data: {
        wallet,
        by,
        fromBlock: ledger.fromBlock.toString(),
        toBlock: ledger.toBlock.toString(),
        rows: sorted.map(numbers),
        total: numbers(all),
        notSettled: open,
        reconciled: ledger.gap === undefined ? null : ledger.gap.free === 0n && ledger.gap.locked === 0n,
      },
      text: (style) => {
        if (switchOption(input, "csv")) return asCsv(by, sorted);
        if (sorted.length === 0) return `Nothing earned, seized or spent between block ${ledger.fromBlock} and block ${ledger.toBlock}.`;
        const rows = style.plain ? sorted : [...sorted, all];
        const lines = [
          table(
            [
              { title: by.toUpperCase(), value: ({ key }) => key, max: 18 },
              { title: "EARNED", value: ({ earned }) => rlc(earned), align: "right" },
              { title: "SEIZED", value: ({ seized }) => rlc(seized), align: "right" },
              { title: "NET", value: ({ earned, seized }) => rlc(earned - seized), align: "right" },
              { title: "GAS", value: ({ gas }) => coins(gas, chain.symbol), align: "right" },
              ...(by === "day" ? [{ title: "TASKS", value: ({ tasks }: Sum) => String(tasks), align: "right" as const }] : []),
            ],
            rows,
            style,
          ),
        ];
        if (!style.plain) {
          lines.push("", `Blocks ${ledger.fromBlock} to ${ledger.toBlock}. ${open.length} tasks not settled yet.`);
          lines.push(reconciliation(ledger, style));
        }
        return lines.join("\n");
      },
      next: ["iexec-worker ledger"],
    };
  });
}

const numbers = ({ key, earned, seized, gas, tasks }: Sum) => ({
  key,
  earnedNano: earned.toString(),
  seizedNano: seized.toString(),
  netNano: (earned - seized).toString(),
  gasWei: gas.toString(),
  tasks,
});

const asCsv = (by: Grouping, sums: readonly Sum[]): string =>
  csv(
    [by, "earned_nrlc", "seized_nrlc", "net_nrlc", "gas_wei", "tasks"],
    sums.map((sum) => [sum.key, `${sum.earned}`, `${sum.seized}`, `${sum.earned - sum.seized}`, `${sum.gas}`, `${sum.tasks}`]),
  );

/** Tasks whose stake was locked and neither came back nor was seized. */
export function openTasks({ entries }: Pick<LedgerRead, "entries">): readonly string[] {
  const locked = new Map<string, bigint>();
  for (const { kind, taskId, amount } of entries) {
    if (taskId === undefined) continue;
    if (kind === "lock") locked.set(taskId, (locked.get(taskId) ?? 0n) + amount);
    if (kind === "unlock" || kind === "seize") locked.set(taskId, (locked.get(taskId) ?? 0n) - amount);
  }
  return [...locked].filter(([, amount]) => amount > 0n).map(([taskId]) => taskId);
}

/** One line that says whether the movements explain the account to the last nRLC. */
export function reconciliation({ gap, opening, closing }: LedgerRead, style: { mark(level: "ok" | "warn" | "bad"): string }): string {
  const account = `${rlc(closing.free)} free, ${rlc(closing.locked)} locked`;
  if (gap === undefined || opening === undefined)
    return `${style.mark("warn")} not reconciled: no node has the state before the first block; start earlier with --from-block (now ${account})`;
  if (gap.free === 0n && gap.locked === 0n) return `${style.mark("ok")} reconciled to the nRLC with the account on chain: ${account}`;
  return `${style.mark("bad")} the events do not explain ${gap.free} nRLC free and ${gap.locked} nRLC locked (account: ${account})`;
}
