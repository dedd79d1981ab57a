import { Socket } from "node:net";
import { type Clock, CodedError, openScope, orAborted, systemClock } from "@iexec-ts/service";
import pg from "pg";
import { z } from "zod";
import { codeOf, isConflict, unreachable, whatPostgresSaid } from "./faults.ts";

export type SqlValue = string | number | bigint | boolean | Date | null | undefined | readonly string[] | readonly boolean[];

/** One session of the database; inside `transaction`, one transaction. Errors of all: SCH-1101, SCH-1104. */
export interface Sql {
  /** Rows, each read through its schema. */
  rows<T>(text: string, values: readonly SqlValue[], row: z.ZodType<T>): Promise<readonly T[]>;
  row<T>(text: string, values: readonly SqlValue[], row: z.ZodType<T>): Promise<T | undefined>;
  /** One numeric column called `value`. */
  numbers(text: string, values: readonly SqlValue[]): Promise<readonly number[]>;
  /** Returns how many rows were touched. */
  run(text: string, values?: readonly SqlValue[]): Promise<number>;
}

/** A connection outside of the pool, for what lives as long as it does: a lock, or listening. */
export interface OwnConnection extends Sql {
  /** Aborts when the connection is gone. */
  readonly gone: AbortSignal;
  onNotification(listener: (channel: string, text: string) => void): void;
  /** Ends it in order, or cuts it after a second. */
  end(): Promise<void>;
}

export interface Database extends Sql {
  /**
   * Commits when `work` resolves; tries again when Postgres chose this transaction as the victim of a conflict.
   *
   * @param signal - from its abort on, every statement of `work` and the commit are refused, and the connection is given up
   * @param ms - how long it may take, in milliseconds, where it writes more than usual
   */
  transaction<T>(work: (sql: Sql) => Promise<T>, signal?: AbortSignal, ms?: number): Promise<T>;
  /** Opens a connection of its own, with limits of its own, that the caller ends. */
  connection(limits?: Partial<Limits>): Promise<OwnConnection>;
  /** Ends all connections; what still asks something after two seconds is cut. */
  close(): Promise<void>;
}

/** How long each thing asked of Postgres may take, in milliseconds: nothing is waited for without end. */
export interface Limits {
  /** For a connection, or for a free one of the pool. */
  readonly connectMs: number;
  /** For a lock that somebody else holds. */
  readonly lockMs: number;
  /** For a statement, at the server. */
  readonly statementMs: number;
  /** For an answer, here: what a connection whose other end has vanished would never give. */
  readonly answerMs: number;
  /** For a whole transaction with its repetitions; the server also ends one that is left idle for this long. */
  readonly transactionMs: number;
}

export const LIMITS: Limits = { connectMs: 30_000, lockMs: 15_000, statementMs: 30_000, answerMs: 40_000, transactionMs: 60_000 };

const TRIES = 8;
const CLOSE_MS = 2_000;
const END_MS = 1_000;
/** Idle connections are probed after this, so that one whose other end has vanished is found before somebody needs it. */
const PROBE_AFTER_MS = 10_000;
const VALUE = z.object({ value: z.coerce.number() });

type Answer = pg.QueryResult<Record<string, unknown>>;
type Ask = (text: string, values: readonly SqlValue[]) => Promise<Answer>;

function sqlOver(ask: Ask): Sql {
  const rows = async <T>(text: string, values: readonly SqlValue[], row: z.ZodType<T>): Promise<readonly T[]> =>
    (await ask(text, values)).rows.map((raw) => row.parse(raw));
  return {
    rows,
    row: async (text, values, row) => (await rows(text, values, row))[0],
    numbers: async (text, values) => (await rows(text, values, VALUE)).map(({ value }) => value),
    run: async (text, values = []) => (await ask(text, values)).rowCount ?? 0,
  };
}

const configOf = (url: string, limits: Limits): pg.ClientConfig => ({
  connectionString: url,
  application_name: "iexec-scheduler",
  keepAlive: true,
  keepAliveInitialDelayMillis: PROBE_AFTER_MS,
  connectionTimeoutMillis: limits.connectMs,
  lock_timeout: limits.lockMs,
  statement_timeout: limits.statementMs,
  query_timeout: limits.answerMs,
  idle_in_transaction_session_timeout: limits.transactionMs,
});

/**
 * Connects to Postgres. Every question has an end: at the server, and here for a server that does not answer any more.
 *
 * Errors: SCH-1101 when it cannot be reached.
 */
export async function openDatabase(
  url: string,
  options: { readonly connections: number; readonly limits?: Partial<Limits>; readonly clock?: Clock },
): Promise<Database> {
  const { clock = systemClock } = options;
  const limits = { ...LIMITS, ...options.limits };
  const sockets = new Set<Socket>();
  const stream = (): Socket => {
    const socket = new Socket();
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    return socket;
  };
  const pool = new pg.Pool({ ...configOf(url, limits), max: options.connections, stream });
  // A dropped idle connection is replaced by the pool at the next query.
  pool.on("error", () => undefined);
  const close = async (): Promise<void> => {
    using patience = openScope([], { ms: CLOSE_MS, clock });
    await orAborted(pool.end(), patience.signal).catch(() => undefined);
    for (const socket of sockets) socket.destroy();
  };

  try {
    await pool.query("SELECT 1");
  } catch (thrown) {
    await close();
    throw unreachable(thrown);
  }

  /** A connection of the pool for one piece of work; one that broke, or that was given up in the middle, is not used again. */
  const session = async <T>(work: (sql: Sql) => Promise<T>, signal: AbortSignal): Promise<T> => {
    const client = await pool.connect().catch((thrown: unknown) => {
      throw whatPostgresSaid(thrown);
    });
    let broken = false;
    // Without a listener an error of a connection that is not asked anything at the moment would end the process.
    const fail = (): void => {
      broken = true;
    };
    client.on("error", fail);
    const ask: Ask = async (text, values) => {
      signal.throwIfAborted();
      if (broken) throw new CodedError("SCH-1101", { reason: "the connection broke" });
      try {
        return await orAborted(client.query<Record<string, unknown>>(text, [...values]), signal);
      } catch (thrown) {
        if (codeOf(thrown) === undefined) broken = true;
        throw whatPostgresSaid(thrown);
      }
    };
    try {
      return await orAborted(work(sqlOver(ask)), signal);
    } finally {
      client.off("error", fail);
      client.release(broken || signal.aborted);
    }
  };

  const once = <T>(work: (sql: Sql) => Promise<T>, signal: AbortSignal): Promise<T> =>
    session(async (sql) => {
      await sql.run("BEGIN");
      try {
        const result = await work(sql);
        await sql.run("COMMIT");
        return result;
      } catch (thrown) {
        await sql.run("ROLLBACK").catch(() => undefined);
        throw thrown;
      }
    }, signal);

  return {
    ...sqlOver(async (text, values) => {
      try {
        return await pool.query<Record<string, unknown>>(text, [...values]);
      } catch (thrown) {
        throw whatPostgresSaid(thrown);
      }
    }),
    async transaction(work, signal, ms = limits.transactionMs) {
      const reason = (): CodedError => new CodedError("SCH-1104", { reason: `a transaction took longer than ${ms} ms` });
      using scope = openScope([signal], { ms, clock, reason });
      // Bounded: ends after a few attempts, and with the limit of the whole transaction.
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await once(work, scope.signal);
        } catch (thrown) {
          if (!isConflict(thrown) || attempt === TRIES) throw thrown;
        }
      }
    },
    connection: (own) => openConnection(configOf(url, { ...limits, ...own }), clock),
    close,
  };
}

async function openConnection(config: pg.ClientConfig, clock: Clock): Promise<OwnConnection> {
  const socket = new Socket();
  const client = new pg.Client({ ...config, stream: () => socket });
  const gone = new AbortController();
  client.on("error", (error) => gone.abort(error));
  client.on("end", () => gone.abort(new CodedError("SCH-1101", { reason: "the connection ended" })));
  try {
    await client.connect();
  } catch (thrown) {
    socket.destroy();
    throw unreachable(thrown);
  }
  return {
    ...sqlOver(async (text, values) => {
      try {
        return await orAborted(client.query<Record<string, unknown>>(text, [...values]), gone.signal);
      } catch (thrown) {
        throw whatPostgresSaid(thrown);
      }
    }),
    gone: gone.signal,
    onNotification(listener) {
      client.on("notification", ({ channel, payload }) => listener(channel, payload ?? ""));
    },
    async end() {
      using patience = openScope([], { ms: END_MS, clock });
      await orAborted(client.end(), patience.signal).catch(() => undefined);
      socket.destroy();
    },
  };
}
