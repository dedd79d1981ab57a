import { CodedError, createWatchdog, type Output, plantedHang, plantHang, readKeystore, runService } from "@iexec-ts/service";
import { install as useOneHttpClient } from "undici";
import { workerConfig } from "./config.ts";
import { defaultConfigPath, knownConfigFile } from "./config-file.ts";
import { checkContainerFiles, ownContainerId } from "./container-check.ts";
import { followFile } from "./control/follow-file.ts";
import { liveSettings } from "./control/live-settings.ts";
import type { Checkpoint } from "./replicate/ports.ts";
import { VERSION } from "./version.ts";

/** SIDE EFFECTS: runs a worker until it is told to stop, or stops to protect its stake. @returns the exit code of the process */
export function runWorker(argv: readonly string[], env: NodeJS.ProcessEnv, output: Output, checkpoint?: Checkpoint): Promise<number> {
  // Node's own copy of undici would be loaded beside the one we need for sockets and guards: 13 MiB.
  useOneHttpClient();
  return runService(
    { definition: workerConfig, version: VERSION },
    { argv, env, output, file: () => knownConfigFile(env) },
    async ({ settings, config, reload, logger, shutdown }) => {
      const ownContainer = ownContainerId();
      if (ownContainer !== undefined) await checkContainerFiles(settings);
      // The key is derived on another thread while the rest of the program loads.
      const opening = readKeystore(settings.walletPath, settings.walletPassword.reveal());
      const [wallet, { privateKeyToAccount }, { LOOP_GRACE_MS, startWorker }, { serveWorker }] = await Promise.all([
        opening,
        import("viem/accounts"),
        import("./worker.ts"),
        import("./server.ts"),
      ]);
      const account = privateKeyToAccount(wallet.privateKey.reveal());
      const path = config.file ?? defaultConfigPath(env);
      const live = liveSettings(config, reload, path, logger);
      const reloadAgain = () => {
        try {
          live.reload();
        } catch (thrown) {
          logger.error("the settings stay as they were", { error: CodedError.from(thrown) });
        }
      };
      shutdown.add("settings", followFile(path, reloadAgain, logger));
      const worker = await startWorker(
        { settings, account },
        {
          ...(ownContainer === undefined ? {} : { ownContainer }),
          log: logger,
          hangAt: env.IEXEC_TEST_HANG_AT,
          watchdog: plantHang(createWatchdog({ log: logger, graceMs: LOOP_GRACE_MS }), plantedHang(env)),
          signal: shutdown.signal,
          live,
          stop: (how) => {
            void shutdown.request("stop");
            if (how === "now") void shutdown.request("now");
          },
          ...(checkpoint === undefined ? {} : { checkpoint }),
        },
      );
      shutdown.add("worker", (signal) => worker.close(signal));
      const server = await serveWorker(worker, settings, logger);
      shutdown.add("page", () => server.close());
      logger.info("page", { url: server.url });
      const end = await Promise.race([worker.halted, shutdown.done]);
      return end instanceof CodedError ? end : undefined;
    },
  );
}
