import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnTethered } from "../process/tethered.ts";
import { startBuiltInRegistry } from "./built-in-registry.ts";
import { findProgram } from "./programs.ts";

export interface RegistryOptions {
  /** 0, the default, picks a free one. */
  readonly port?: number;
  /** Keeps the images between runs; without it they are temporary. */
  readonly dir?: string;
  /** Default: the program `docker-registry` or `registry` when this machine has one, else our own. */
  readonly implementation?: "program" | "built-in";
}

export interface ImageRegistry {
  /** host:port, the first part of an image's name. Docker trusts loopback registries without TLS. */
  readonly host: string;
  readonly url: string;
  readonly implementation: "program" | "built-in";
  /** Idempotent. */
  stop(): Promise<void>;
}

/**
 * An image registry on loopback, open to this machine.
 *
 * Errors: NET-1001 port taken, NET-1002 it did not start.
 * SIDE EFFECTS: listens on loopback; writes images to `dir` or a temporary folder that goes with it.
 */
export async function startRegistry(options: RegistryOptions = {}, signal?: AbortSignal): Promise<ImageRegistry> {
  const program =
    options.implementation === "built-in" ? undefined : ((await findProgram("docker-registry")) ?? (await findProgram("registry")));
  const folder = options.dir ?? (await mkdtemp(join(tmpdir(), "iexec-registry-")));
  await mkdir(folder, { recursive: true });
  const temporary = options.dir === undefined;
  try {
    if (program !== undefined) return await startProgram(program, folder, temporary, options.port ?? 0, signal);
    const own = await startBuiltInRegistry(folder, options.port ?? 0);
    return {
      host: `127.0.0.1:${own.port}`,
      url: `http://127.0.0.1:${own.port}`,
      implementation: "built-in",
      stop: async () => {
        await own.stop();
        if (temporary) await rm(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    if (temporary) await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function startProgram(
  program: string,
  folder: string,
  temporary: boolean,
  port: number,
  signal: AbortSignal | undefined,
): Promise<ImageRegistry> {
  const settings = {
    version: "0.1",
    log: { accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, "images") }, delete: { enabled: true } },
    http: { addr: `127.0.0.1:${port}` },
  };
  const file = join(folder, "registry.yml");
  // Every JSON document is a YAML document.
  await writeFile(file, JSON.stringify(settings));
  const server = await spawnTethered(
    {
      program: "docker-registry",
      command: program,
      args: ["serve", file],
      ready: (output) => /listening on 127\.0\.0\.1:(\d+)/.exec(output)?.[1],
      port,
      ...(temporary ? { removeAfter: folder } : {}),
    },
    signal,
  );
  const host = `127.0.0.1:${server.readyValue}`;
  return {
    host,
    url: `http://${host}`,
    implementation: "program",
    stop: async () => {
      await server.stop();
    },
  };
}
