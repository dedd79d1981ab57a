import { createMetrics, type Output, readKeystore, runService } from "@iexec-ts/service";
import { privateKeyToAccount } from "viem/accounts";
import { type SchedulerSettings, schedulerConfig } from "./config.ts";
import { DEFAULT_PATIENCE, type SchedulerOptions } from "./options.ts";
import { start } from "./start.ts";
import { VERSION } from "./version.ts";

const REDELIVER_MS = 10_000;
const CHAIN_WAIT_MS = 20_000;

async function optionsOf(settings: SchedulerSettings): Promise<SchedulerOptions> {
  const wallet = await readKeystore(settings.walletPath, settings.walletPassword.reveal());
  const [first = "http://127.0.0.1:8545", ...others] = settings.rpcUrls;
  return {
    account: privateKeyToAccount(wallet.privateKey.reveal()),
    workerpool: settings.workerpool,
    hubAddress: settings.hubAddress,
    rpcUrls: [first, ...others],
    startBlock: settings.startBlock,
    database: settings.databaseUrl === undefined ? { directory: settings.dataDir } : { url: settings.databaseUrl.reveal() },
    host: settings.host,
    port: settings.port,
    ...(settings.publicUrl === undefined ? {} : { publicUrl: settings.publicUrl }),
    resultProxyUrl: settings.resultProxyUrl,
    ...(settings.smsUrl === undefined ? {} : { smsUrl: settings.smsUrl }),
    ...(settings.publicRpcUrl === undefined ? {} : { publicRpcUrl: settings.publicRpcUrl }),
    sidechain: settings.sidechain,
    blockTimeMs: settings.blockTimeMs,
    whitelist: settings.whitelist,
    requiredWorkerVersion: settings.requiredWorkerVersion ?? "",
    askForReplicatePeriodMs: settings.askForReplicatePeriodMs,
    v9WaitMs: settings.v9WaitMs,
    lostAfterMs: settings.lostAfterMs,
    redeliverMs: REDELIVER_MS,
    chainWaitMs: CHAIN_WAIT_MS,
    patience: { ...DEFAULT_PATIENCE, uploadStartMs: settings.uploadStartMs, uploadMs: settings.uploadMs },
    gas: { multiplier: settings.gasPriceMultiplier, cap: settings.gasPriceCapWei, gasless: settings.sidechain },
    confirmations: settings.confirmations,
    reorgDepth: settings.reorgDepth,
    maxLogRange: settings.maxLogRange,
    join: {
      poolName: settings.joinPoolName,
      workerImage: settings.joinWorkerImage,
      deposit: settings.joinDeposit,
      gas: settings.sidechain ? 0n : settings.joinGas,
    },
  };
}

/** SIDE EFFECTS: runs a scheduler until it is told to stop. @returns the exit code of the process */
export function runScheduler(argv: readonly string[], env: NodeJS.ProcessEnv, output: Output): Promise<number> {
  return runService({ definition: schedulerConfig, version: VERSION }, { argv, env, output }, async ({ settings, logger, shutdown }) => {
    const metrics = createMetrics("iexec_scheduler_", { withProcess: true });
    const scheduler = await start(await optionsOf(settings), { logger, metrics, signal: shutdown.signal });
    shutdown.add("scheduler", (signal) => scheduler.close(signal));
    await shutdown.done;
    return undefined;
  });
}
