import type { OutboxStore, TxAttempt, TxIntent, TxRecord, TxState } from "@iexec-ts/chain";
import { wei } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { z } from "zod";
import { chainSeconds, count, hex, optional, units } from "./columns.ts";
import type { Database, Sql } from "./database.ts";

const STATE = z.enum(["waiting", "sent", "mined", "final", "reverted", "cancelled", "refused", "expired"]) satisfies z.ZodType<TxState>;

const INTENT_ROW = z.object({
  id: z.string(),
  target: hex,
  data: hex,
  value: optional(units),
  gas_floor: units,
  gas_extra: optional(units),
  before_time: optional(chainSeconds),
  state: STATE,
  settled: z.boolean(),
  nonce: optional(count),
  gas: optional(units),
  mined_hash: optional(hex),
  mined_block: optional(units),
  gas_paid: optional(units),
  note: optional(z.string()),
  created_at: z.date(),
  updated_at: z.date(),
});
const ATTEMPT_ROW = z.object({
  intent_id: z.string(),
  hash: hex,
  raw: hex,
  max_fee: units,
  max_tip: units,
  at: z.date(),
  cancels: z.boolean(),
});

const HOLDER = z.object({ id: z.string() });

const attemptOf = (row: z.infer<typeof ATTEMPT_ROW>): TxAttempt => ({
  hash: row.hash,
  raw: row.raw,
  maxFeePerGas: row.max_fee,
  maxPriorityFeePerGas: row.max_tip,
  at: row.at,
  cancels: row.cancels,
});

function intentOf(row: z.infer<typeof INTENT_ROW>): TxIntent {
  return {
    id: row.id,
    to: row.target,
    data: row.data,
    gasFloor: row.gas_floor,
    ...(row.value === undefined ? {} : { value: wei(row.value) }),
    ...(row.gas_extra === undefined ? {} : { gasExtra: row.gas_extra }),
    ...(row.before_time === undefined ? {} : { before: row.before_time }),
  };
}

const recordOf = (row: z.infer<typeof INTENT_ROW>, attempts: readonly TxAttempt[]): TxRecord => ({
  intent: intentOf(row),
  state: row.state,
  settled: row.settled,
  nonce: row.nonce,
  gas: row.gas,
  attempts,
  minedHash: row.mined_hash,
  minedBlock: row.mined_block,
  gasPaid: row.gas_paid === undefined ? undefined : wei(row.gas_paid),
  createdAt: row.created_at,
  updatedAt: row.updated_at,
  note: row.note,
});

async function withAttempts(sql: Sql, intents: readonly z.infer<typeof INTENT_ROW>[]): Promise<readonly TxRecord[]> {
  if (intents.length === 0) return [];
  const ids = intents.map(({ id }) => id);
  const attempts = new Map<string, TxAttempt[]>(ids.map((id) => [id, []]));
  const rows = await sql.rows("SELECT * FROM tx_attempts WHERE intent_id = ANY($1) ORDER BY intent_id, n", [ids], ATTEMPT_ROW);
  for (const row of rows) attempts.get(row.intent_id)?.push(attemptOf(row));
  return intents.map((intent) => recordOf(intent, attempts.get(intent.id) ?? []));
}

const INSERT = `INSERT INTO tx_outbox (id, target, data, value, gas_floor, gas_extra, before_time, state, created_at, updated_at)
  VALUES ($1, $2, $3, $4, $5, $6, $7, 'waiting', $8, $8) ON CONFLICT (id) DO NOTHING`;

/**
 * The transaction queue's memory in Postgres. Durable when a call resolves, as long as the server runs with `synchronous_commit` on.
 *
 * Errors: CHN-3006 nonce held by another record, CHN-3009 unknown id, CHN-3010 overtaken by a later change.
 * SIDE EFFECTS: writes the tables tx_outbox and tx_attempts.
 */
export function postgresOutbox(database: Database): OutboxStore {
  const get = async (sql: Sql, id: string): Promise<TxRecord | undefined> =>
    (await withAttempts(sql, await sql.rows("SELECT * FROM tx_outbox WHERE id = $1", [id], INTENT_ROW)))[0];
  /** A change of a record that another one overtook is a call that hung: it changes nothing. */
  const changedOne = async (sql: Sql, changed: number, id: string): Promise<void> => {
    if (changed > 0) return;
    throw new CodedError((await get(sql, id)) === undefined ? "CHN-3009" : "CHN-3010", { id });
  };

  return {
    async open(intent, at) {
      await database.run(INSERT, [
        intent.id,
        intent.to,
        intent.data,
        intent.value ?? null,
        intent.gasFloor,
        intent.gasExtra ?? null,
        intent.before ?? null,
        at,
      ]);
      const record = await get(database, intent.id);
      if (record === undefined) throw new CodedError("CHN-3009", { id: intent.id });
      return record;
    },
    get: (id) => get(database, id),
    pending: async () =>
      await withAttempts(database, await database.rows("SELECT * FROM tx_outbox WHERE NOT settled ORDER BY intent_no", [], INTENT_ROW)),
    list: async (limit) =>
      await withAttempts(database, await database.rows("SELECT * FROM tx_outbox ORDER BY intent_no DESC LIMIT $1", [limit], INTENT_ROW)),
    addAttempt: (id, attempt) =>
      database.transaction(async (sql) => {
        const holder = await sql.row(
          "SELECT id FROM tx_outbox WHERE (nonce = $1 AND id <> $2) OR (id = $2 AND nonce <> $1) FOR UPDATE",
          [attempt.nonce, id],
          HOLDER,
        );
        if (holder !== undefined) throw new CodedError("CHN-3006", { nonce: attempt.nonce });
        const changed = await sql.run(
          `UPDATE tx_outbox SET nonce = coalesce(nonce, $2), gas = coalesce(gas, $3), state = 'sent', settled = false, updated_at = $4
           WHERE id = $1 AND updated_at <= $4`,
          [id, attempt.nonce, attempt.gas, attempt.at],
        );
        await changedOne(sql, changed, id);
        await sql.run(
          `INSERT INTO tx_attempts (intent_id, n, hash, raw, max_fee, max_tip, at, cancels)
           SELECT $1, coalesce(max(n), 0) + 1, $2, $3, $4, $5, $6, $7 FROM tx_attempts WHERE intent_id = $1
           ON CONFLICT (intent_id, hash) DO NOTHING`,
          [id, attempt.hash, attempt.raw, attempt.maxFeePerGas, attempt.maxPriorityFeePerGas, attempt.at, attempt.cancels],
        );
      }),
    async setState(id, state, change) {
      const changed = await database.run(
        `UPDATE tx_outbox SET state = $2, updated_at = $3, settled = $9,
           mined_hash = CASE WHEN $4::text IS NULL AND $2 IN ('waiting', 'sent') THEN NULL ELSE coalesce($4, mined_hash) END,
           mined_block = CASE WHEN $5::bigint IS NULL AND $2 IN ('waiting', 'sent') THEN NULL ELSE coalesce($5, mined_block) END,
           gas_paid = CASE WHEN $6::numeric IS NULL AND $2 IN ('waiting', 'sent') THEN NULL ELSE coalesce($6, gas_paid) END,
           note = CASE WHEN $7 THEN $8 ELSE note END WHERE id = $1 AND updated_at <= $3`,
        [
          id,
          state,
          change.at,
          change.minedHash ?? null,
          change.minedBlock ?? null,
          change.gasPaid ?? null,
          change.note !== undefined,
          change.note ?? null,
          change.settled ?? false,
        ],
      );
      await changedOne(database, changed, id);
    },
    reopen: (id, at) =>
      database.transaction(async (sql) => {
        const changed = await sql.run(
          `UPDATE tx_outbox SET state = 'waiting', settled = false, nonce = NULL, gas = NULL, mined_hash = NULL, mined_block = NULL,
             gas_paid = NULL, note = NULL, updated_at = $2 WHERE id = $1 AND updated_at <= $2`,
          [id, at],
        );
        await changedOne(sql, changed, id);
        await sql.run("DELETE FROM tx_attempts WHERE intent_id = $1", [id]);
      }),
    highestNonce: async () =>
      (await database.numbers("SELECT nonce AS value FROM tx_outbox WHERE nonce IS NOT NULL ORDER BY nonce DESC LIMIT 1", []))[0],
  };
}
