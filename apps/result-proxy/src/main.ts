import { createHub, createRpcPool } from "@iexec-ts/chain";
import {
  CodedError,
  createLogger,
  createShutdown,
  helpRequested,
  hookSignals,
  loadConfig,
  renderHelp,
  systemClock,
  versionRequested,
} from "@iexec-ts/service";
import { resultProxyConfig } from "./config.ts";
import { start } from "./start.ts";
import { VERSION } from "./version.ts";

/** Where the program writes what it has to say to a person. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/** Exit codes: 0 stopped in order, 1 failed, 2 wrong settings, 3 a person must act, 4 temporary. @source operator-experience.md 4.3 */
const exitCodeOf = (error: CodedError): number => {
  if (error.code === "SVC-1101") return 2;
  if (error.retry === "operator") return 3;
  return error.retry === "retry" || error.retry === "environment" ? 4 : 1;
};

/** SIDE EFFECTS: runs a result proxy until it is told to stop. @returns the exit code of the process */
export async function runResultProxy(argv: readonly string[], env: NodeJS.ProcessEnv, output: Output): Promise<number> {
  if (helpRequested(argv)) {
    output.out(renderHelp(resultProxyConfig));
    return 0;
  }
  if (versionRequested(argv)) {
    output.out(`${VERSION}\n`);
    return 0;
  }
  try {
    const { values: config, warnings } = loadConfig(resultProxyConfig, { argv, env });
    const logger = createLogger({ level: config.logLevel });
    for (const warning of warnings) logger.warn("check the settings", { warning });
    const shutdown = createShutdown({ graceMs: config.graceMs });
    const unhook = hookSignals(shutdown);
    try {
      const pool = await createRpcPool(
        { urls: config.rpcUrls, expectedHub: config.hubAddress },
        { clock: systemClock, logger },
        shutdown.signal,
      );
      shutdown.add("chain", () => pool.close());
      const proxy = await start({ config, deps: { hub: await createHub(pool, config.hubAddress), logger } });
      shutdown.add("result proxy", () => proxy.close());
      await shutdown.done;
      return 0;
    } catch (thrown) {
      await shutdown.request("start failed");
      throw thrown;
    } finally {
      unhook();
    }
  } catch (thrown) {
    const error = CodedError.from(thrown);
    output.err(`${error.code}: ${error.message}\n  ${error.fix}\n`);
    return exitCodeOf(error);
  }
}
