import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SchedulerOptions } from "@iexec-ts/scheduler";
import { freePort, writeKeystore } from "@iexec-ts/service";
import type { Hex } from "viem";

/** A service of the network as a program of its own. */
export interface ServiceProgram {
  readonly name: "scheduler" | "result-proxy";
  /** What Node is to run. */
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
  /** Where it will answer. */
  readonly url: string;
}

/** Runs a program; resolves once it answers at its `url`. */
export type RunService = (program: ServiceProgram) => Promise<{ close(): Promise<unknown> }>;

const LOOPBACK = "127.0.0.1";
/** geth's light scrypt: the key is that of a test mnemonic. */
const LIGHT_SCRYPT = 4_096;

const programOf = (resolved: string): string => fileURLToPath(resolved).replace(/index\.ts$/, "bin.ts");
const chosen = async (port: number): Promise<number> => (port === 0 ? await freePort() : port);

/** SIDE EFFECTS: whatever `run` does. @param env - the proxy's settings by their names, its ports among them */
export async function resultProxyApart(
  run: RunService,
  env: Readonly<Record<string, string>>,
  ports: { readonly api: number; readonly gateway: number },
): Promise<{ readonly url: string; readonly gatewayUrl: string; close(): Promise<unknown> }> {
  const [api, gateway] = [await chosen(ports.api), await chosen(ports.gateway)];
  const url = `http://${LOOPBACK}:${api}`;
  const { close } = await run({
    name: "result-proxy",
    path: programOf(import.meta.resolve("@iexec-ts/result-proxy")),
    env: { ...env, IEXEC_RESULT_PROXY_PORT: String(api), IEXEC_IPFS_GATEWAY_PORT: String(gateway) },
    url,
  });
  return { url, gatewayUrl: `http://${LOOPBACK}:${gateway}`, close };
}

/**
 * SIDE EFFECTS: writes the owner's keystore into `dir`, and whatever `run` does.
 * @param options - as for a scheduler in this process; what only code can say (patience, the join page) stays at its default
 */
export async function schedulerApart(
  run: RunService,
  options: SchedulerOptions,
  owner: { readonly dir: string; readonly privateKey: Hex; readonly password: string },
): Promise<{ readonly url: string; close(): Promise<unknown> }> {
  const port = await chosen(options.port);
  const url = `http://${LOOPBACK}:${port}`;
  const wallet = join(owner.dir, "scheduler-wallet.json");
  if (!existsSync(wallet)) await writeKeystore(wallet, owner.privateKey, owner.password, { n: LIGHT_SCRYPT });
  const { close } = await run({
    name: "scheduler",
    path: programOf(import.meta.resolve("@iexec-ts/scheduler")),
    env: {
      IEXEC_CORE_HOST: LOOPBACK,
      IEXEC_CORE_PORT: String(port),
      IEXEC_CORE_WALLET_PATH: wallet,
      IEXEC_CORE_WALLET_PASSWORD: owner.password,
      POOL_ADDRESS: options.workerpool,
      IEXEC_HUB_ADDRESS: options.hubAddress,
      IEXEC_BLOCKCHAIN_NODE_ADDRESS: options.rpcUrls.join(","),
      ...(options.publicRpcUrl === undefined ? {} : { IEXEC_PUBLIC_CHAIN_ADDRESS: options.publicRpcUrl }),
      IEXEC_BLOCK_TIME: `${options.blockTimeMs}ms`,
      ...("url" in options.database ? { DATABASE_URL: options.database.url } : { IEXEC_CORE_DATA_DIR: options.database.directory }),
      IEXEC_RESULT_REPOSITORY_URL: options.resultProxyUrl,
      IEXEC_ASK_REPLICATE_PERIOD: `${options.askForReplicatePeriodMs}ms`,
      IEXEC_CORE_V9_WAIT: `${options.v9WaitMs}ms`,
      IEXEC_CORE_WORKER_LOST_AFTER: `${options.lostAfterMs}ms`,
      IEXEC_CORE_CONFIRMATIONS: String(options.confirmations),
      IEXEC_CORE_REORG_DEPTH: String(options.reorgDepth),
      CHAIN_MAXLOGSBATCHSIZE: String(options.maxLogRange),
    },
    url,
  });
  return { url, close };
}
