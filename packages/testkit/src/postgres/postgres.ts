import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { access, chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CodedError, freePort, hasCode } from "@iexec-ts/service";
import pg from "pg";
import { spawnTethered } from "../process/tethered.ts";
import { type Owner, postgresBinaries, postgresOwner } from "./binaries.ts";

export interface PostgresOptions {
  /** Where the data lives and stays. Without it the data is temporary, not flushed to disk, and removed at the end. */
  readonly dir?: string;
  /** 0, the default, picks a free one. */
  readonly port?: number;
  /** A running server to use instead of starting one; default: the environment's DATABASE_URL. An empty text always starts one. */
  readonly databaseUrl?: string | undefined;
}

export interface TestDatabase {
  readonly name: string;
  /** Connection string with credentials: never log it. */
  readonly url: string;
  /** SIDE EFFECTS: disconnects everybody and removes the database. */
  drop(): Promise<void>;
}

export interface PostgresServer {
  /** Connection string of the maintenance database, with credentials: never log it. */
  readonly url: string;
  /** Process id, or undefined when the server is not ours. */
  readonly pid: number | undefined;
  /** Creates an empty database; with a name, returns the existing one if there is one. Errors: NET-1102. */
  createDatabase(name?: string): Promise<TestDatabase>;
  /** Idempotent. Leaves a server that is not ours alone. */
  stop(): Promise<void>;
}

const USER = "iexec";
const INITDB_MS = 120_000;
const CONNECT_MS = 20_000;
const QUERY_MS = 60_000;
const run = promisify(execFile);

/**
 * A real Postgres for tests and the local network. It ends with this process, whatever ends this process.
 *
 * Errors: NET-1001 port taken, NET-1002 it did not start, NET-1003 no build for this platform, NET-1101 cannot run as root.
 * SIDE EFFECTS: starts a server on loopback; as root, creates the system user `postgres` when there is none.
 */
export async function startPostgres(options: PostgresOptions = {}, signal?: AbortSignal): Promise<PostgresServer> {
  const outside = options.databaseUrl ?? process.env.DATABASE_URL;
  if (outside !== undefined && outside !== "") {
    return { url: outside, pid: undefined, createDatabase: (name) => createDatabase(outside, name), stop: async () => undefined };
  }
  const owner = await postgresOwner();
  const home = options.dir ?? (await mkdtemp(join(tmpdir(), "iexec-pg-")));
  const temporary = options.dir === undefined;
  try {
    const password = await prepareCluster(home, owner, temporary);
    const { server, port } = await launch(home, owner, temporary, options.port ?? 0, signal);
    const url = `postgres://${USER}:${password}@127.0.0.1:${port}/postgres`;
    return {
      url,
      pid: server.pid,
      createDatabase: (name) => createDatabase(url, name),
      stop: async () => {
        await server.stop();
      },
    };
  } catch (error) {
    if (temporary) await rm(home, { recursive: true, force: true });
    throw error;
  }
}

/** Creates the cluster unless `home` holds one; returns its password. */
async function prepareCluster(home: string, owner: Owner | undefined, temporary: boolean): Promise<string> {
  const passwordFile = join(home, "password");
  await mkdir(home, { recursive: true });
  await chmod(home, 0o700);
  if (owner !== undefined) await chown(home, owner.uid, owner.gid);
  if (await exists(join(home, "data", "PG_VERSION"))) return (await readFile(passwordFile, "utf8")).trim();

  const password = randomBytes(18).toString("hex");
  await writeFile(passwordFile, `${password}\n`, { mode: 0o600 });
  if (owner !== undefined) await chown(passwordFile, owner.uid, owner.gid);
  const data = join(home, "data");
  const args = ["--pgdata", data, "--username", USER, "--pwfile", passwordFile, "--auth", "scram-sha-256"];
  args.push("--encoding", "UTF8", "--locale", "C", "--no-instructions");
  if (temporary) args.push("--no-sync");
  try {
    await run(postgresBinaries().initdb, args, { cwd: home, timeout: INITDB_MS, ...(owner ?? {}) });
  } catch (error) {
    await rm(data, { recursive: true, force: true });
    const reason = error instanceof Error ? error.message.slice(-600) : String(error);
    throw new CodedError("NET-1002", { program: "initdb", reason }, { cause: error });
  }
  return password;
}

const SPEED_OVER_SAFETY = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"];
const ALWAYS = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "shared_buffers=32MB", "jit=off", "max_connections=200"];
const PORT_ATTEMPTS = 3;

async function launch(home: string, owner: Owner | undefined, temporary: boolean, wanted: number, signal: AbortSignal | undefined) {
  const settings = [...ALWAYS, ...(temporary ? SPEED_OVER_SAFETY : [])].flatMap((setting) => ["-c", setting]);
  for (let attempt = 1; ; attempt++) {
    const port = wanted === 0 ? await freePort() : wanted;
    try {
      const server = await spawnTethered(
        {
          program: "Postgres",
          command: postgresBinaries().postgres,
          args: ["-D", join(home, "data"), "-p", String(port), ...settings],
          ready: (output) => (output.includes("database system is ready to accept connections") ? "ready" : undefined),
          port,
          uid: owner?.uid,
          gid: owner?.gid,
          env: { ...process.env, LC_ALL: "C" },
          stopSignal: "SIGINT",
          ...(temporary ? { removeAfter: home } : {}),
        },
        signal,
      );
      return { server, port };
    } catch (error) {
      // Somebody took the free port between our look and the server's bind.
      if (wanted !== 0 || attempt >= PORT_ATTEMPTS || !hasCode(error, "NET-1001")) throw error;
    }
  }
}

async function createDatabase(serverUrl: string, wanted: string | undefined): Promise<TestDatabase> {
  const name = wanted ?? `t_${randomBytes(8).toString("hex")}`;
  const url = new URL(serverUrl);
  url.pathname = `/${name}`;
  await maintenance(serverUrl, name, async (client) => {
    if (wanted !== undefined) {
      const found = await client.query("select 1 from pg_database where datname = $1", [name]);
      if (found.rowCount !== 0) return;
    }
    await client.query(`create database ${client.escapeIdentifier(name)}`);
  });
  return {
    name,
    url: url.href,
    drop: () =>
      maintenance(serverUrl, name, async (client) => {
        await client.query(`drop database if exists ${client.escapeIdentifier(name)} with (force)`);
      }),
  };
}

async function maintenance(serverUrl: string, name: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl, connectionTimeoutMillis: CONNECT_MS, query_timeout: QUERY_MS });
  try {
    await client.connect();
    await work(client);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CodedError("NET-1102", { name, reason }, { cause: error });
  } finally {
    await client.end();
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch {
    return false;
  }
}
