import { CodedError, type Output, readKeystore, runService } from "@iexec-ts/service";
import { privateKeyToAccount } from "viem/accounts";
import { workerConfig } from "./config.ts";
import type { Checkpoint } from "./replicate/ports.ts";
import { serveWorker } from "./server.ts";
import { VERSION } from "./version.ts";
import { startWorker } from "./worker.ts";

/** SIDE EFFECTS: runs a worker until it is told to stop, or stops to protect its stake. @returns the exit code of the process */
export function runWorker(argv: readonly string[], env: NodeJS.ProcessEnv, output: Output, checkpoint?: Checkpoint): Promise<number> {
  return runService({ definition: workerConfig, version: VERSION }, { argv, env, output }, async ({ settings, logger, shutdown }) => {
    const wallet = await readKeystore(settings.walletPath, settings.walletPassword.reveal());
    const account = privateKeyToAccount(wallet.privateKey.reveal());
    const worker = await startWorker(
      { settings, account },
      { log: logger, signal: shutdown.signal, ...(checkpoint === undefined ? {} : { checkpoint }) },
    );
    shutdown.add("worker", () => worker.close());
    const server = await serveWorker(worker, settings, logger);
    shutdown.add("page", () => server.close());
    logger.info("page", { url: server.url });
    const end = await Promise.race([worker.halted, shutdown.done]);
    return end instanceof CodedError ? end : undefined;
  });
}
