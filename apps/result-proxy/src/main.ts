import { createHub, createRpcPool } from "@iexec-ts/chain";
import { type Output, runService, systemClock } from "@iexec-ts/service";
import { resultProxyConfig } from "./config.ts";
import { start } from "./start.ts";
import { VERSION } from "./version.ts";

/** SIDE EFFECTS: runs a result proxy until it is told to stop. @returns the exit code of the process */
export function runResultProxy(argv: readonly string[], env: NodeJS.ProcessEnv, output: Output): Promise<number> {
  return runService({ definition: resultProxyConfig, version: VERSION }, { argv, env, output }, async ({ settings, logger, shutdown }) => {
    const pool = await createRpcPool(
      { urls: settings.rpcUrls, expectedHub: settings.hubAddress },
      { clock: systemClock, logger },
      shutdown.signal,
    );
    shutdown.add("chain", () => pool.close());
    const proxy = await start({ config: settings, deps: { hub: await createHub(pool, settings.hubAddress), logger } });
    shutdown.add("result proxy", () => proxy.close());
    await shutdown.done;
    return undefined;
  });
}
