import {
  CodedError,
  createLogger,
  createShutdown,
  helpRequested,
  hookSignals,
  loadConfig,
  readKeystore,
  renderHelp,
  versionRequested,
} from "@iexec-ts/service";
import { privateKeyToAccount } from "viem/accounts";
import { workerConfig } from "./config.ts";
import type { Checkpoint } from "./replicate/ports.ts";
import { serveWorker } from "./server.ts";
import { VERSION } from "./version.ts";
import { startWorker } from "./worker.ts";

/** Where the program writes what it has to say to a person. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/**
 * Exit codes: 0 stopped in order, 1 failed, 2 wrong settings, 3 a person must act, 4 temporary. @source operator-experience.md 4.3
 */
export const exitCodeOf = (error: CodedError): number => {
  if (error.code === "SVC-1101") return 2;
  if (error.retry === "operator") return 3;
  return error.retry === "retry" || error.retry === "environment" ? 4 : 1;
};

export const explain = (error: CodedError): string => `${error.code}: ${error.message}\n  ${error.fix}\n`;

/** SIDE EFFECTS: runs a worker until it is told to stop. @returns the exit code of the process */
export async function runWorker(argv: readonly string[], env: NodeJS.ProcessEnv, output: Output, checkpoint?: Checkpoint): Promise<number> {
  if (helpRequested(argv)) {
    output.out(renderHelp(workerConfig));
    return 0;
  }
  if (versionRequested(argv)) {
    output.out(`${VERSION}\n`);
    return 0;
  }
  try {
    const { values: settings, warnings } = loadConfig(workerConfig, { argv, env });
    const log = createLogger({ level: settings.logLevel });
    for (const warning of warnings) log.warn("check the settings", { warning });
    log.info("starting", { version: VERSION, name: settings.name });
    const shutdown = createShutdown({ graceMs: settings.graceMs });
    const unhook = hookSignals(shutdown);
    try {
      const wallet = await readKeystore(settings.walletPath, settings.walletPassword.reveal());
      const account = privateKeyToAccount(wallet.privateKey.reveal());
      const worker = await startWorker(
        { settings, account },
        { log, signal: shutdown.signal, ...(checkpoint === undefined ? {} : { checkpoint }) },
      );
      shutdown.add("worker", () => worker.close());
      const server = await serveWorker(worker, settings, log);
      shutdown.add("page", () => server.close());
      log.info("page", { url: server.url });
      const halted = await Promise.race([worker.halted, shutdown.done]);
      if (!(halted instanceof CodedError)) return 0;
      await shutdown.request(halted.code);
      output.err(explain(halted));
      return exitCodeOf(halted);
    } catch (thrown) {
      await shutdown.request("failed");
      throw thrown;
    } finally {
      unhook();
    }
  } catch (thrown) {
    const error = CodedError.from(thrown);
    output.err(explain(error));
    return exitCodeOf(error);
  }
}
