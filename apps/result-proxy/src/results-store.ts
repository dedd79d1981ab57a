import { Socket } from "node:net";
import { type Address, addressSchema, type Bytes32, bytes32Schema, type TaskId } from "@iexec-ts/poco";
import { CodedError, openScope, orAborted } from "@iexec-ts/service";
import pg from "pg";
import { z } from "zod";

export interface StoredResult {
  readonly taskId: TaskId;
  readonly cid: string;
  readonly digest: Bytes32;
  readonly bytes: number;
  readonly uploader: Address;
}

/** What must outlive this process; several instances share it. Errors of all: PRX-1030. */
export interface ResultsStore {
  find(taskId: TaskId): Promise<StoredResult | undefined>;
  /** Stores the first result of a task; a later one with another digest does not replace it. Returns what is stored. */
  put(result: StoredResult): Promise<StoredResult>;
  /** Remembers the enclave of a worker's authorization, until its TEE result has come. */
  rememberEnclave(taskId: TaskId, worker: Address, enclaveChallenge: Address): Promise<void>;
  enclaveOf(taskId: TaskId, worker: Address): Promise<Address | undefined>;
  forgetEnclave(taskId: TaskId, worker: Address): Promise<void>;
  /** The shared key for tokens; the first instance's proposal wins. */
  sharedKey(proposal: string): Promise<string>;
  ping(): Promise<void>;
  close(): Promise<void>;
}

const LIMITS = {
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
  connectionTimeoutMillis: 10_000,
  statement_timeout: 30_000,
  query_timeout: 40_000,
  idle_in_transaction_session_timeout: 60_000,
};
const CLOSE_MS = 2_000;
const MIGRATION_LOCK = 7_270_001;
/** Each runs once, in order, in its own transaction. Never change one that was released; add another. */
const MIGRATIONS = [
  `create table result_proxy.result (
     task_id text primary key,
     cid text not null,
     digest text not null,
     bytes bigint not null,
     uploader text not null,
     stored_at timestamptz not null default now()
   );
   create table result_proxy.enclave (
     task_id text not null,
     worker text not null,
     challenge text not null,
     authorized_at timestamptz not null default now(),
     primary key (task_id, worker)
   );
   create table result_proxy.shared_key (name text primary key, value text not null)`,
];

const resultRow = z.object({
  task_id: bytes32Schema,
  cid: z.string(),
  digest: bytes32Schema,
  bytes: z.coerce.number().int().nonnegative(),
  uploader: addressSchema,
});
const resultOf = (row: unknown): StoredResult => {
  const { task_id, ...rest } = resultRow.parse(row);
  return { taskId: task_id, ...rest };
};

/**
 * Opens the store in Postgres and brings its tables up to date; instances that start together wait for each other.
 * Errors: PRX-1030.
 *
 * SIDE EFFECTS: creates the schema `result_proxy` and its tables; holds connections until `close`.
 */
export async function openResultsStore(databaseUrl: string): Promise<ResultsStore> {
  const sockets = new Set<Socket>();
  const stream = (): Socket => {
    const socket = new Socket();
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    return socket;
  };
  // Every question has an end: at the server, and here for a server that does not answer any more.
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 10, stream, ...LIMITS });
  // A connection that breaks while idle is replaced by the pool; the next query shows whether the server is back.
  pool.on("error", () => undefined);
  const query = async (text: string, values: readonly unknown[] = []): Promise<readonly unknown[]> => {
    try {
      return (await pool.query(text, [...values])).rows;
    } catch (thrown) {
      throw failed(thrown);
    }
  };
  try {
    await migrate(pool);
  } catch (thrown) {
    await pool.end();
    throw failed(thrown);
  }
  const find = async (taskId: TaskId): Promise<StoredResult | undefined> => {
    const [row] = await query("select task_id, cid, digest, bytes, uploader from result_proxy.result where task_id = $1", [lower(taskId)]);
    return row === undefined ? undefined : resultOf(row);
  };
  return {
    find,
    put: async ({ taskId, cid, digest, bytes, uploader }) => {
      const [row] = await query(
        `insert into result_proxy.result as r (task_id, cid, digest, bytes, uploader) values ($1, $2, $3, $4, $5)
         on conflict (task_id) do update
           set cid = case when r.digest = excluded.digest then excluded.cid else r.cid end,
               bytes = case when r.digest = excluded.digest then excluded.bytes else r.bytes end
         returning task_id, cid, digest, bytes, uploader`,
        [lower(taskId), cid, lower(digest), bytes, lower(uploader)],
      );
      return resultOf(row);
    },
    rememberEnclave: async (taskId, worker, challenge) => {
      await query(
        `insert into result_proxy.enclave (task_id, worker, challenge) values ($1, $2, $3)
         on conflict (task_id, worker) do update set challenge = excluded.challenge`,
        [lower(taskId), lower(worker), lower(challenge)],
      );
    },
    enclaveOf: async (taskId, worker) => {
      const [row] = await query("select challenge from result_proxy.enclave where task_id = $1 and worker = $2", [
        lower(taskId),
        lower(worker),
      ]);
      return row === undefined ? undefined : z.object({ challenge: addressSchema }).parse(row).challenge;
    },
    forgetEnclave: async (taskId, worker) => {
      await query("delete from result_proxy.enclave where task_id = $1 and worker = $2", [lower(taskId), lower(worker)]);
    },
    sharedKey: async (proposal) => {
      await query("insert into result_proxy.shared_key (name, value) values ('jwt', $1) on conflict (name) do nothing", [proposal]);
      const [row] = await query("select value from result_proxy.shared_key where name = 'jwt'");
      return z.object({ value: z.string().min(32) }).parse(row).value;
    },
    ping: async () => {
      await query("select 1");
    },
    close: async () => {
      using patience = openScope([], { ms: CLOSE_MS });
      await orAborted(pool.end(), patience.signal).catch(() => undefined);
      for (const socket of sockets) socket.destroy();
    },
  };
}

const lower = (text: string): string => text.toLowerCase();

const failed = (thrown: unknown): CodedError =>
  new CodedError("PRX-1030", { reason: thrown instanceof Error ? thrown.message : String(thrown) }, { cause: thrown });

async function migrate(pool: pg.Pool): Promise<void> {
  const client = await pool.connect();
  // Without a listener an error between two queries would end the process.
  const ignore = (): void => undefined;
  client.on("error", ignore);
  try {
    await client.query("begin");
    await client.query("select pg_advisory_xact_lock($1)", [MIGRATION_LOCK]);
    await client.query("create schema if not exists result_proxy");
    await client.query(
      "create table if not exists result_proxy.migration (version int primary key, applied_at timestamptz not null default now())",
    );
    const { rows } = await client.query("select coalesce(max(version), 0)::int as version from result_proxy.migration");
    const { version } = z.object({ version: z.number() }).parse(rows[0]);
    for (const [at, sql] of MIGRATIONS.entries()) {
      if (at < version) continue;
      await client.query(sql);
      await client.query("insert into result_proxy.migration (version) values ($1)", [at + 1]);
    }
    await client.query("commit");
  } catch (thrown) {
    await client.query("rollback").catch(() => undefined);
    throw thrown;
  } finally {
    client.off("error", ignore);
    client.release();
  }
}
