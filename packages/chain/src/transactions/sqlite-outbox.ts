import type { DatabaseSync } from "node:sqlite";
import { chainTime, type Hex, wei } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { z } from "zod";
import type { OutboxStore, TxAttempt, TxIntent, TxRecord, TxState } from "../api.ts";

const SCHEMA = `
CREATE TABLE IF NOT EXISTS tx_record (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  recipient TEXT NOT NULL,
  data TEXT NOT NULL,
  value TEXT,
  gas_floor TEXT NOT NULL,
  gas_extra TEXT,
  before TEXT,
  state TEXT NOT NULL,
  settled INTEGER NOT NULL DEFAULT 0,
  nonce INTEGER UNIQUE,
  gas TEXT,
  mined_hash TEXT,
  mined_block TEXT,
  gas_paid TEXT,
  note TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS tx_record_open ON tx_record (seq) WHERE settled = 0;
CREATE TABLE IF NOT EXISTS tx_attempt (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  record INTEGER NOT NULL REFERENCES tx_record (seq),
  hash TEXT NOT NULL,
  raw TEXT NOT NULL,
  max_fee TEXT NOT NULL,
  max_tip TEXT NOT NULL,
  at INTEGER NOT NULL,
  cancels INTEGER NOT NULL,
  UNIQUE (record, hash)
) STRICT;
CREATE INDEX IF NOT EXISTS tx_attempt_record ON tx_attempt (record, seq);
`;

const STATES = ["waiting", "sent", "mined", "final", "reverted", "cancelled", "refused", "expired"] as const satisfies readonly TxState[];

const hex = z.templateLiteral(["0x", z.string()]).transform((text): Hex => text);
const amount = z.string().transform((text) => BigInt(text));
const date = z.number().transform((ms) => new Date(ms));
const maybe = <T extends z.ZodType>(type: T) => type.nullable().transform((value) => value ?? undefined);

const recordRow = z.object({
  seq: z.number(),
  id: z.string(),
  recipient: hex,
  data: hex,
  value: maybe(amount),
  gas_floor: amount,
  gas_extra: maybe(amount),
  before: maybe(amount),
  state: z.enum(STATES),
  settled: z.number(),
  nonce: maybe(z.number()),
  gas: maybe(amount),
  mined_hash: maybe(hex),
  mined_block: maybe(amount),
  gas_paid: maybe(amount),
  note: maybe(z.string()),
  created_at: date,
  updated_at: date,
});

const attemptRow = z.object({ hash: hex, raw: hex, max_fee: amount, max_tip: amount, at: date, cancels: z.number() }).transform(
  (row): TxAttempt => ({
    hash: row.hash,
    raw: row.raw,
    maxFeePerGas: row.max_fee,
    maxPriorityFeePerGas: row.max_tip,
    at: row.at,
    cancels: row.cancels !== 0,
  }),
);

/**
 * The outbox of one wallet in an SQLite database, for example the worker's journal. The caller opens it with WAL and synchronous=FULL: then
 * what a method has written survives a power cut.
 *
 * Errors: CHN-3006 nonce held by another record, CHN-3009 unknown id.
 * SIDE EFFECTS: creates the tables `tx_record` and `tx_attempt`.
 */
export function sqliteOutbox(db: DatabaseSync): OutboxStore {
  db.exec(SCHEMA);
  const insert = db.prepare(
    `INSERT INTO tx_record (id, recipient, data, value, gas_floor, gas_extra, before, state, created_at, updated_at)
     VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?) ON CONFLICT (id) DO NOTHING`,
  );
  const byId = db.prepare("SELECT * FROM tx_record WHERE id = ?");
  const open = db.prepare("SELECT * FROM tx_record WHERE settled = 0 ORDER BY seq");
  const newest = db.prepare("SELECT * FROM tx_record ORDER BY seq DESC LIMIT ?");
  const attemptsOf = db.prepare("SELECT * FROM tx_attempt WHERE record = ? ORDER BY seq");
  const holder = db.prepare("SELECT id FROM tx_record WHERE nonce = ?");
  const highest = db.prepare("SELECT max(nonce) AS nonce FROM tx_record");
  const fix = db.prepare(
    "UPDATE tx_record SET nonce = coalesce(nonce, ?), gas = coalesce(gas, ?), state = 'sent', settled = 0, updated_at = ? WHERE seq = ?",
  );
  const insertAttempt = db.prepare(
    "INSERT INTO tx_attempt (record, hash, raw, max_fee, max_tip, at, cancels) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (record, hash) DO NOTHING",
  );
  const update = db.prepare(
    `UPDATE tx_record SET state = ?, settled = ?, mined_hash = ?, mined_block = ?, gas_paid = ?, note = ?, updated_at = ? WHERE seq = ?`,
  );
  const forget = db.prepare(
    `UPDATE tx_record SET state = 'waiting', settled = 0, nonce = NULL, gas = NULL, mined_hash = NULL, mined_block = NULL, gas_paid = NULL,
     note = NULL, updated_at = ? WHERE seq = ?`,
  );
  const forgetAttempts = db.prepare("DELETE FROM tx_attempt WHERE record = ?");

  const row = (id: string) => {
    const found = byId.get(id);
    if (found === undefined) throw new CodedError("CHN-3009", { id });
    return recordRow.parse(found);
  };
  const unchangedSince = (id: string, at: Date) => {
    const found = row(id);
    if (at < found.updated_at) throw new CodedError("CHN-3010", { id });
    return found;
  };
  const read = (raw: unknown): TxRecord => {
    const parsed = recordRow.parse(raw);
    return toRecord(
      parsed,
      attemptsOf.all(parsed.seq).map((attempt) => attemptRow.parse(attempt)),
    );
  };
  const together = <T>(work: () => T): T => {
    db.exec("SAVEPOINT tx_outbox");
    try {
      const result = work();
      db.exec("RELEASE tx_outbox");
      return result;
    } catch (error) {
      db.exec("ROLLBACK TO tx_outbox");
      db.exec("RELEASE tx_outbox");
      throw error;
    }
  };

  return {
    async open(intent, at) {
      const { id, to, data, value, gasFloor, gasExtra, before } = intent;
      const when = at.getTime();
      insert.run(id, to, data, text(value), gasFloor.toString(), text(gasExtra), text(before), when, when);
      return read(byId.get(id));
    },
    async get(id) {
      const found = byId.get(id);
      return found === undefined ? undefined : read(found);
    },
    async pending() {
      return open.all().map(read);
    },
    async list(limit) {
      return newest.all(limit).map(read);
    },
    async addAttempt(id, attempt) {
      together(() => {
        const { seq, nonce } = unchangedSince(id, attempt.at);
        if (nonce !== undefined && nonce !== attempt.nonce) throw new CodedError("CHN-3006", { nonce: attempt.nonce });
        const other = holder.get(attempt.nonce);
        if (other !== undefined && other.id !== id) throw new CodedError("CHN-3006", { nonce: attempt.nonce });
        fix.run(attempt.nonce, attempt.gas.toString(), attempt.at.getTime(), seq);
        const { hash, raw, maxFeePerGas, maxPriorityFeePerGas, at, cancels } = attempt;
        insertAttempt.run(seq, hash, raw, maxFeePerGas.toString(), maxPriorityFeePerGas.toString(), at.getTime(), cancels ? 1 : 0);
      });
    },
    async setState(id, state, change) {
      together(() => {
        const old = unchangedSince(id, change.at);
        const forgets = state === "waiting" || state === "sent";
        const kept = forgets
          ? { hash: undefined, block: undefined, paid: undefined }
          : { hash: old.mined_hash, block: old.mined_block, paid: old.gas_paid };
        const note = change.note === undefined ? (old.note ?? null) : change.note;
        update.run(
          state,
          change.settled === true ? 1 : 0,
          (change.minedHash ?? kept.hash) || null,
          text(change.minedBlock ?? kept.block),
          text(change.gasPaid ?? kept.paid),
          note,
          change.at.getTime(),
          old.seq,
        );
      });
    },
    async reopen(id, at) {
      together(() => {
        const { seq } = unchangedSince(id, at);
        forgetAttempts.run(seq);
        forget.run(at.getTime(), seq);
      });
    },
    async highestNonce() {
      const found = z.object({ nonce: z.number().nullable() }).parse(highest.get());
      return found.nonce ?? undefined;
    },
  };
}

const text = (amount: bigint | undefined): string | null => amount?.toString() ?? null;

function toRecord(row: z.output<typeof recordRow>, attempts: readonly TxAttempt[]): TxRecord {
  const intent: TxIntent = {
    id: row.id,
    to: row.recipient,
    data: row.data,
    gasFloor: row.gas_floor,
    ...(row.value === undefined ? {} : { value: wei(row.value) }),
    ...(row.gas_extra === undefined ? {} : { gasExtra: row.gas_extra }),
    ...(row.before === undefined ? {} : { before: chainTime(row.before) }),
  };
  return {
    intent,
    state: row.state,
    nonce: row.nonce,
    gas: row.gas,
    attempts,
    minedHash: row.mined_hash,
    minedBlock: row.mined_block,
    gasPaid: row.gas_paid === undefined ? undefined : wei(row.gas_paid),
    settled: row.settled !== 0,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    note: row.note,
  };
}
