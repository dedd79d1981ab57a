import { mkdir, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { join } from "node:path";
import { encryptKeystore, freePort } from "@iexec-ts/service";
import { spawnOwned, startPostgres } from "@iexec-ts/testkit";
import Docker from "dockerode";
import { bytesToHex } from "viem";
import { programOf } from "../wrong/refusal.ts";
import type { World } from "./world.ts";

const END_MS = 20_000;
const LIGHT_SCRYPT = 4_096;
const POOL_ACCOUNT = 6;

/** Something that is wrong for a while. */
interface Fault {
  readonly url: string;
  close(): Promise<void>;
}

/** A server whose clock is `seconds` ahead: everything else passes unchanged. */
export async function startShiftedClock(target: string, seconds: number): Promise<Fault> {
  const { hostname, port } = new URL(target);
  const server = createServer((asked, response) => {
    const { host: _host, ...headers } = asked.headers;
    const upstream = request({ hostname, port, path: asked.url, method: asked.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, {
        ...answer.headers,
        date: new Date(Date.now() + seconds * 1_000).toUTCString(),
      });
      answer.pipe(response);
    });
    upstream.on("error", () => response.destroy());
    asked.pipe(upstream);
  });
  const free = await freePort();
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(free, "127.0.0.1", resolve);
  });
  return {
    url: `http://127.0.0.1:${free}`,
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** A program in the background, until it answers; SIGTERM ends it. */
async function background(
  line: readonly [string, ...string[]],
  env: Readonly<Record<string, string>>,
  ready: () => Promise<boolean>,
  signal: AbortSignal,
): Promise<() => Promise<void>> {
  const [program, ...args] = line;
  const child = spawnOwned(program, args, { env: { PATH: process.env.PATH ?? "", ...env }, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-600);
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    const limit = setTimeout(() => child.kill("SIGKILL"), END_MS);
    await ended;
    clearTimeout(limit);
  };
  while (!(await ready().catch(() => false))) {
    if (child.exitCode !== null || signal.aborted) {
      await stop();
      throw new Error(`${program} did not come up: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return stop;
}

/** A Docker Engine on a kernel that does not show it the memory and process controllers: a real one, in a mount namespace without them. */
export async function startEngineWithoutLimits(
  world: World,
  signal: AbortSignal,
): Promise<{ readonly socket: string; close(): Promise<void> }> {
  const home = join(world.rig.network.dir, "lesser-engine");
  await mkdir(home, { recursive: true });
  const socket = join(home, "docker.sock");
  const script = [
    "for c in memory pids; do umount /sys/fs/cgroup/$c || exit 1; done",
    // Two dockerd of one machine share nothing but the kernel; in the same network, `--bridge none` would delete the other one's bridge.
    `exec dockerd --host 'unix://${socket}' --data-root '${home}/data' --exec-root '${home}/exec' --pidfile '${home}/pid' --bridge none --iptables=false --ip-forward=false --ip-masq=false --storage-driver vfs`,
  ].join("\n");
  const stop = await background(
    ["unshare", "--mount", "--net", "bash", "-c", script],
    {},
    async () => (await new Docker({ socketPath: socket }).ping()).toString() === "OK",
    signal,
  );
  return { socket, close: stop };
}

/** Another workerpool of the same chain whose scheduler insists on a version. */
export async function startStrictPool(
  world: World,
  version: string,
  signal: AbortSignal,
): Promise<Fault & { readonly workerpool: string }> {
  const { chain } = world.rig;
  const owner = chain.account(POOL_ACCOUNT);
  const workerpool = await chain.createWorkerpool(owner, { description: "Strict pool" });
  const { privateKey } = owner.getHdKey();
  if (privateKey === null) throw new Error("the pool's account has no key");
  const password = world.password("strict pool");
  const home = join(world.rig.network.dir, "strict-pool");
  await mkdir(home, { recursive: true });
  const walletPath = join(home, "wallet.json");
  await writeFile(walletPath, await encryptKeystore(bytesToHex(privateKey), password, { n: LIGHT_SCRYPT }), { mode: 0o600 });
  await writeFile(join(home, "password"), password, { mode: 0o600 });
  const postgres = await startPostgres({}, signal);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  try {
    const stop = await background(
      [process.execPath, programOf("scheduler")],
      {
        IEXEC_CORE_HOST: "127.0.0.1",
        IEXEC_CORE_PORT: String(port),
        IEXEC_CORE_WALLET_PATH: walletPath,
        IEXEC_CORE_WALLET_PASSWORD_FILE: join(home, "password"),
        POOL_ADDRESS: workerpool,
        IEXEC_HUB_ADDRESS: chain.hub,
        IEXEC_BLOCKCHAIN_NODE_ADDRESS: chain.rpcUrl,
        IEXEC_RESULT_REPOSITORY_URL: world.rig.network.resultProxyUrl,
        IEXEC_CORE_REQUIRED_WORKER_VERSION: version,
        DATABASE_URL: (await postgres.createDatabase()).url,
      },
      async () => (await fetch(`${url}/v1/info`)).ok,
      signal,
    );
    return {
      url,
      workerpool,
      async close() {
        await stop();
        await postgres.stop();
      },
    };
  } catch (thrown) {
    await postgres.stop();
    throw thrown;
  }
}
