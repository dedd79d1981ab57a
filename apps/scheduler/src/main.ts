import {
  CodedError,
  createLogger,
  createMetrics,
  createShutdown,
  helpRequested,
  hookSignals,
  loadConfig,
  readKeystore,
  renderHelp,
  versionRequested,
} from "@iexec-ts/service";
import { privateKeyToAccount } from "viem/accounts";
import { type SchedulerSettings, schedulerConfig } from "./config.ts";
import { DEFAULT_PATIENCE, type SchedulerOptions } from "./options.ts";
import { start } from "./start.ts";
import { VERSION } from "./version.ts";

/** Where the program writes what it has to say to a person. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const REDELIVER_MS = 10_000;
const CHAIN_WAIT_MS = 20_000;

/** Exit codes: 0 stopped in order, 1 failed, 2 wrong settings, 3 a person must act, 4 temporary. @source operator-experience.md 4.3 */
const exitCodeOf = (error: CodedError): number => {
  if (error.code === "SVC-1101") return 2;
  if (error.retry === "operator") return 3;
  return error.retry === "retry" || error.retry === "environment" ? 4 : 1;
};

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
  };
}

/** SIDE EFFECTS: runs a scheduler until it is told to stop. @returns the exit code of the process */
export async function runScheduler(argv: readonly string[], env: NodeJS.ProcessEnv, output: Output): Promise<number> {
  if (helpRequested(argv)) {
    output.out(renderHelp(schedulerConfig));
    return 0;
  }
  if (versionRequested(argv)) {
    output.out(`${VERSION}\n`);
    return 0;
  }
  try {
    const { values: settings, warnings } = loadConfig(schedulerConfig, { argv, env });
    const logger = createLogger({ level: settings.logLevel });
    for (const warning of warnings) logger.warn("check the settings", { warning });
    logger.info("starting", { version: VERSION });
    const shutdown = createShutdown({ graceMs: settings.graceMs });
    const unhook = hookSignals(shutdown);
    try {
      const scheduler = await start(await optionsOf(settings), {
        logger,
        metrics: createMetrics("iexec_scheduler_", { withProcess: true }),
      });
      shutdown.add("scheduler", () => scheduler.close());
      if (shutdown.signal.aborted) await scheduler.close();
      await shutdown.done;
      return 0;
    } finally {
      unhook();
    }
  } catch (thrown) {
    const error = CodedError.from(thrown);
    output.err(`${error.code}: ${error.message}\n  ${error.fix}\n`);
    return exitCodeOf(error);
  }
}
