import { createHub, createRpcPool } from "@iexec-ts/chain";
import { createWatchdog, type Output, plantedHang, plantHang, runService, systemClock } from "@iexec-ts/service";
import { resultProxyConfig } from "./config.ts";
import { start } from "./start.ts";
import { VERSION } from "./version.ts";

/** SIDE EFFECTS: runs a result proxy until it is told to stop. @returns the exit code of the process */
export function runResultProxy(argv: readonly string[], env: NodeJS.ProcessEnv, output: Output): Promise<number> {
  return runService({ definition: resultProxyConfig, version: VERSION }, { argv, env, output }, async ({ settings, logger, shutdown }) => {
    const watchdog = plantHang(createWatchdog({ log: logger }), plantedHang(env));
    const pool = await createRpcPool(
      { urls: settings.rpcUrls, expectedHub: settings.hubAddress },
      { clock: systemClock, logger, watchdog },
      shutdown.signal,
    );
    shutdown.add("chain", () => pool.close());
    const proxy = await start({ config: settings, deps: { hub: await createHub(pool, settings.hubAddress), logger, watchdog } });
    shutdown.add("result proxy", () => proxy.close());
    await shutdown.done;
    return undefined;
  });
}
