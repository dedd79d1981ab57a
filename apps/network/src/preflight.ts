import { statfs } from "node:fs/promises";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { CodedError } from "@iexec-ts/service";
import Docker from "dockerode";

const LEAST_FREE_MIB = 2_048;
const LEAST_CPUS = 2;

export interface PortWish {
  readonly port: number;
  /** What runs there. */
  readonly name: string;
  /** The flag that moves it. */
  readonly flag: string;
}

/**
 * Looks before anything is started, so that a host that cannot run the network says so at once.
 *
 * Errors: NET-2001 (CPUs), NET-2002 (disk), NET-2003 (Docker), NET-2004 (port taken).
 */
export async function preflight(options: {
  readonly dir: string;
  readonly dockerSocket: string;
  readonly ports: readonly PortWish[];
}): Promise<void> {
  const cpus = availableParallelism();
  if (cpus < LEAST_CPUS) throw new CodedError("NET-2001", { cpus });
  const { bavail, bsize } = await statfs(options.dir, { bigint: true });
  const free = Number((bavail * bsize) >> 20n);
  if (free < LEAST_FREE_MIB) throw new CodedError("NET-2002", { free, path: options.dir, needed: LEAST_FREE_MIB });
  try {
    await new Docker({ socketPath: options.dockerSocket }).ping();
  } catch (thrown) {
    throw new CodedError(
      "NET-2003",
      { socket: options.dockerSocket, reason: thrown instanceof Error ? thrown.message : String(thrown) },
      { cause: thrown },
    );
  }
  for (const wish of options.ports) await requireFree(wish);
}

async function requireFree({ port, name, flag }: PortWish): Promise<void> {
  if (port === 0) return;
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(port, "127.0.0.1", resolve);
  try {
    await promise;
  } catch (thrown) {
    throw new CodedError("NET-2004", { port, name, flag }, { cause: thrown });
  } finally {
    server.close();
  }
}
