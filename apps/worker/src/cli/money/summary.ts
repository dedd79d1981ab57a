import type { TxRecord } from "@iexec-ts/chain";
import type { Entry } from "./movements.ts";

/** Money of one group of movements; nRLC and wei. */
export interface Sum {
  readonly key: string;
  readonly earned: bigint;
  readonly seized: bigint;
  readonly gas: bigint;
  readonly tasks: number;
}

/** One payment of gas for a task. */
export interface GasPaid {
  readonly key: string;
  readonly wei: bigint;
}

/** The task an intent of the worker's outbox belongs to: `contribute:0x…`. */
export const taskOfIntent = (id: string): string | undefined => /^[a-z]+:(0x[0-9a-f]{64})$/.exec(id)?.[1];

/** Gas of the worker's transactions, failed ones included, under the key that `keyOf` gives each. */
export const gasPayments = (records: readonly TxRecord[], keyOf: (record: TxRecord) => string | undefined): readonly GasPaid[] =>
  records.flatMap((record) => {
    const key = keyOf(record);
    return key === undefined || record.gasPaid === undefined ? [] : [{ key, wei: record.gasPaid }];
  });

/** Rewards, seizures and gas by key; keys in the order of their first movement. */
export function summarise(entries: readonly Entry[], keyOf: (entry: Entry) => string | undefined, gas: readonly GasPaid[]): readonly Sum[] {
  const sums = new Map<string, { earned: bigint; seized: bigint; gas: bigint; tasks: Set<string> }>();
  const at = (key: string) => {
    const known = sums.get(key) ?? { earned: 0n, seized: 0n, gas: 0n, tasks: new Set<string>() };
    sums.set(key, known);
    return known;
  };
  for (const entry of entries) {
    const key = keyOf(entry);
    if (key === undefined || (entry.kind !== "reward" && entry.kind !== "seize")) continue;
    const sum = at(key);
    if (entry.kind === "reward") sum.earned += entry.amount;
    else sum.seized += entry.amount;
    if (entry.taskId !== undefined) sum.tasks.add(entry.taskId);
  }
  for (const { key, wei } of gas) at(key).gas += wei;
  return [...sums].map(([key, { tasks, ...sum }]) => ({ key, ...sum, tasks: tasks.size }));
}

export const total = (sums: readonly Sum[]): Sum =>
  sums.reduce(
    (all, sum) => ({
      key: "total",
      earned: all.earned + sum.earned,
      seized: all.seized + sum.seized,
      gas: all.gas + sum.gas,
      tasks: all.tasks + sum.tasks,
    }),
    { key: "total", earned: 0n, seized: 0n, gas: 0n, tasks: 0 },
  );

/** Quotes what would break a cell, and disarms what a spreadsheet would run. */
const csvCell = (text: string): string => {
  const safe = /^[=+\-@\t\r]/.test(text) && !/^-?\d+$/.test(text) ? `'${text}` : text;
  return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

/** Comma separated values with a header. @source RFC 4180 */
export const csv = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  [header, ...rows].map((row) => row.map(csvCell).join(",")).join("\n");
