import type { TxRecord } from "@iexec-ts/chain";
import { CodedError } from "@iexec-ts/service";
import type { Context, Input } from "../context.ts";
import { coinSymbol } from "../facts/chain-facts.ts";
import { localFacts, needWallet } from "../facts/local-facts.ts";
import type { Json, Report } from "../report.ts";
import { coins, gwei } from "../view/amounts.ts";
import { table } from "../view/table.ts";
import { exact, relative } from "../view/time.ts";
import { limitOf } from "./task.ts";

interface Line {
  readonly transactions: readonly TxRecord[];
  readonly symbol: string;
}

async function transactionsOf(context: Context): Promise<Line> {
  const facts = await localFacts(context);
  needWallet(facts, context.settings);
  return { transactions: facts.journal?.transactions ?? [], symbol: coinSymbol(facts.journal?.network?.chainId ?? 0) };
}

const plain = (record: TxRecord): { readonly [key: string]: Json } => ({
  id: record.intent.id,
  state: record.state,
  nonce: record.nonce ?? null,
  to: record.intent.to,
  valueWei: (record.intent.value ?? 0n).toString(),
  gas: record.gas?.toString() ?? null,
  hash: record.minedHash ?? null,
  block: record.minedBlock?.toString() ?? null,
  gasPaidWei: record.gasPaid?.toString() ?? null,
  note: record.note ?? null,
  createdAt: exact(record.createdAt),
  updatedAt: exact(record.updatedAt),
  attempts: record.attempts.map((attempt) => ({
    hash: attempt.hash,
    maxFeePerGas: attempt.maxFeePerGas.toString(),
    maxPriorityFeePerGas: attempt.maxPriorityFeePerGas.toString(),
    cancels: attempt.cancels,
    at: exact(attempt.at),
  })),
});

/** Errors: SVC-13xx, WRK-2012. */
export async function txList(context: Context, input: Input): Promise<Report> {
  const { transactions, symbol } = await transactionsOf(context);
  const shown = transactions.slice(0, limitOf(input));
  const now = context.clock.now();
  return {
    data: { total: transactions.length, transactions: shown.map(plain) },
    text: (style) =>
      shown.length === 0
        ? style.plain
          ? ""
          : "No transaction so far."
        : table(
            [
              { title: "TRANSACTION", value: ({ intent }) => intent.id, max: 30 },
              { title: "STATE", value: ({ state }) => state },
              { title: "SINCE", value: ({ updatedAt }) => (style.plain ? exact(updatedAt) : relative(updatedAt, now)) },
              { title: "NONCE", value: ({ nonce }) => String(nonce ?? "-"), align: "right" },
              { title: "TRIES", value: ({ attempts }) => String(attempts.length), align: "right" },
              { title: "GAS PAID", value: ({ gasPaid }) => (gasPaid === undefined ? "-" : coins(gasPaid, symbol)), align: "right" },
              { title: "NOTE", value: ({ note }) => note ?? "" },
            ],
            shown,
            style,
          ),
    next:
      shown[0] === undefined ? ["iexec-worker status"] : [`iexec-worker tx show ${shown[0].minedHash?.slice(0, 12) ?? shown[0].intent.id}`],
  };
}

/** The one transaction whose name, or one of whose hashes, begins with `typed`. Errors: WRK-2011. */
export function findTransaction(transactions: readonly TxRecord[], typed: string): TxRecord {
  const wanted = typed.toLowerCase();
  const found = transactions.filter(
    ({ intent, attempts }) => intent.id.toLowerCase().startsWith(wanted) || attempts.some(({ hash }) => hash.startsWith(wanted)),
  );
  const record = found.find(({ intent }) => intent.id === wanted) ?? found[0];
  if (record === undefined || wanted === "" || (found.length > 1 && record.intent.id !== wanted))
    throw new CodedError("WRK-2011", { what: "Transaction", id: wanted, list: "iexec-worker tx list" });
  return record;
}

/** Errors: SVC-13xx, WRK-2011. */
export async function txShow(context: Context, input: Input): Promise<Report> {
  const { transactions, symbol } = await transactionsOf(context);
  const record = findTransaction(transactions, input.args[0] ?? "");
  const now = context.clock.now();
  return {
    data: plain(record),
    text: (style) =>
      [
        `Transaction ${style.strong(record.intent.id)}`,
        `   state     ${style.strong(record.state)} ${relative(record.updatedAt, now)}${record.settled ? ", final" : ""}`,
        ...(record.note === undefined ? [] : [`   note      ${record.note}`]),
        `   to        ${record.intent.to}, nonce ${record.nonce ?? "none yet"}`,
        `   gas       limit ${record.gas ?? "not known yet"}, paid ${record.gasPaid === undefined ? "nothing yet" : coins(record.gasPaid, symbol)}`,
        ...(record.minedHash === undefined ? [] : [`   mined as  ${record.minedHash}, block ${record.minedBlock}`]),
        "",
        table(
          [
            { title: "TRY", value: (attempt) => String(record.attempts.indexOf(attempt) + 1), align: "right" },
            { title: "AT", value: ({ at }) => exact(at) },
            { title: "OFFERED", value: ({ maxFeePerGas }) => gwei(maxFeePerGas), align: "right" },
            { title: "", value: ({ cancels }) => (cancels ? "takes it back" : "") },
            { title: "HASH", value: ({ hash }) => hash },
          ],
          record.attempts,
          style,
        ),
      ].join("\n"),
    next: ["iexec-worker tx list"],
  };
}
