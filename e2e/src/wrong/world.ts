import { mkdtemp, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { encryptKeystore } from "@iexec-ts/service";
import { startPostgres } from "@iexec-ts/testkit";
import { bytesToHex } from "viem";
import { buildProbeImage } from "../rig/probe-image.ts";
import { type Rig, startRig } from "../rig/rig.ts";
import { type Expected, programOf, requireRefusal } from "./refusal.ts";

const WALLETS = 12;
const PASSWORD = "as good as any";
const LIGHT_SCRYPT = 4_096;
const SCHEDULER_ACCOUNT = 3;

/** A network on which things go wrong one at a time. */
export interface World {
  readonly rig: Rig;
  /** host:port of its image registry. */
  readonly registry: string;
  /** What a second scheduler of this pool needs, with a store of its own. */
  readonly schedulerEnv: Readonly<Record<string, string>>;
  /** What a second result proxy needs. */
  readonly resultProxyEnv: Readonly<Record<string, string>>;
  /** A worker as it should be set up, except for `env`, that must refuse. `before` are words in front of its command. */
  refuses(env: Readonly<Record<string, string>>, expected: Expected, before?: readonly string[]): Promise<string>;
}

export async function openWorld(signal: AbortSignal): Promise<{ readonly context: World; close(): Promise<void> }> {
  let registry = "";
  const rig = await startRig(
    {
      wallets: WALLETS,
      image: (parts, stop) => {
        registry = parts.registry.host;
        return buildProbeImage(parts, stop);
      },
    },
    signal,
  );
  const { chain, prepared, dir } = { chain: rig.chain, prepared: rig.network.prepared, dir: rig.network.dir };
  const postgres = await startPostgres({}, signal);
  const close = async () => {
    await rig.close();
    await postgres.stop();
  };
  try {
    const walletPath = join(dir, "wallets", "scheduler.json");
    const { privateKey } = chain.account(SCHEDULER_ACCOUNT).getHdKey();
    if (privateKey === null || privateKey === undefined) throw new Error("the scheduler's account has no key");
    await writeFile(walletPath, await encryptKeystore(bytesToHex(privateKey), PASSWORD, { n: LIGHT_SCRYPT }));
    // A wallet of its own: refusals must not depend on which other worker runs now.
    const lent = rig.worker();
    const schedulerEnv = {
      IEXEC_CORE_HOST: "127.0.0.1",
      IEXEC_CORE_WALLET_PATH: walletPath,
      IEXEC_CORE_WALLET_PASSWORD: PASSWORD,
      POOL_ADDRESS: prepared.workerpool.address,
      IEXEC_HUB_ADDRESS: chain.hub,
      IEXEC_BLOCKCHAIN_NODE_ADDRESS: chain.rpcUrl,
      IEXEC_RESULT_REPOSITORY_URL: rig.network.resultProxyUrl,
      DATABASE_URL: (await postgres.createDatabase()).url,
    };
    const resultProxyEnv = {
      IEXEC_HUB_ADDRESS: chain.hub,
      IEXEC_BLOCKCHAIN_NODE_ADDRESS: chain.rpcUrl,
      IEXEC_RESULT_PROXY_HOST: "127.0.0.1",
      IEXEC_IPFS_GATEWAY_PORT: "0",
      IEXEC_RESULT_PROXY_DATA_DIR: join(dir, "second-result-proxy"),
      DATABASE_URL: (await postgres.createDatabase()).url,
    };
    const context: World = {
      rig,
      registry,
      schedulerEnv,
      resultProxyEnv,
      async refuses(env, expected, before = []) {
        const [first = process.execPath, ...rest] = [...before, process.execPath, programOf("worker"), "start"];
        const state = await mkdtemp(join(dir, "state-"));
        const settings = Object.entries({ ...lent.env, IEXEC_WORKER_STATE_DIR: state, ...env }).filter(([, value]) => value !== "");
        return requireRefusal([first, ...rest], expected, { env: Object.fromEntries(settings) });
      },
    };
    return { context, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}
