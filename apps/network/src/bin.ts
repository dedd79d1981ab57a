import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import {
  CodedError,
  createLogger,
  createShutdown,
  endProcess,
  exitCodeOf,
  explainError,
  helpRequested,
  hookSignals,
  type Logger,
  loadConfig,
  renderHelp,
  replaceFile,
} from "@iexec-ts/service";
import { type NetworkSettings, networkConfig } from "./config.ts";
import { runDemo } from "./demo.ts";
import { limited } from "./limit.ts";
import { type Network, startNetwork } from "./network.ts";

const CLOSE_MS = 30_000;

/** What the `iexec` command needs in its folder to use this network; it refuses a file with any key it does not know. @source services.md 1.2 */
async function writeSdkFiles(network: Network, folder: string): Promise<string> {
  const { chain } = network.prepared;
  await mkdir(folder, { recursive: true });
  const path = join(folder, "chain.json");
  const local = {
    id: String(chain.chainId),
    host: chain.rpcUrl,
    hub: chain.hub,
    ipfsGateway: network.gatewayUrl,
  };
  await replaceFile(path, `${JSON.stringify({ default: "local", chains: { local } }, null, 2)}\n`, { mode: 0o644 });
  return path;
}

async function network(settings: NetworkSettings, log: Logger, stop: AbortSignal): Promise<Network> {
  const running = await limited(settings.limitSeconds * 1_000, stop, ({ signal, doing }) => {
    const progress = (what: string) => {
      doing.now(what);
      process.stderr.write(`${what}\n`);
    };
    return startNetwork(settings, { log, progress, signal });
  });
  await announce(running, settings, "the network is ready");
  return running;
}

/** Says where everything listens. SIDE EFFECTS: writes the SDK's files. */
async function announce(running: Network, settings: NetworkSettings, what: string): Promise<void> {
  const path = await writeSdkFiles(running, resolve(settings.out));
  process.stderr.write(
    [
      `${what}; Ctrl-C stops it and leaves nothing behind`,
      `  chain         ${running.prepared.chain.rpcUrl}  (hub ${running.prepared.chain.hub})`,
      `  scheduler     ${running.schedulerUrl}`,
      `  result proxy  ${running.resultProxyUrl}`,
      `  IPFS gateway  ${running.gatewayUrl}`,
      ...running.workers.map(({ name, url }) => `  ${name.padEnd(12)}  ${url}`),
      `  iexec SDK     ${path}`,
      "",
    ].join("\n"),
  );
}

async function main(command: string | undefined, argv: readonly string[]): Promise<number> {
  if ((command !== "demo" && command !== "network") || helpRequested(argv)) {
    process.stdout.write(`usage: ./run demo|network [settings]\n\n${renderHelp(networkConfig)}\n`);
    return command === "demo" || command === "network" ? 0 : 2;
  }
  const shutdown = createShutdown({ graceMs: CLOSE_MS });
  const unhook = hookSignals(shutdown);
  let late: Promise<void> | undefined;
  try {
    const json = argv.includes("--json");
    const { values: settings } = loadConfig(networkConfig, { argv, env: process.env });
    const log = createLogger({ level: settings.logLevel });
    const { signal } = shutdown;
    if (command === "network") {
      const running = await network(settings, log, signal);
      shutdown.add("network", () => running.close());
      await shutdown.done;
      return 0;
    }
    const own = (started: Network) => {
      shutdown.add("network", () => started.close());
      // Told to stop while it was about to be ready: the steps have been run without it.
      if (signal.aborted) late = started.close();
    };
    const { report, network: running } = await limited(settings.limitSeconds * 1_000, signal, (parts) =>
      runDemo(settings, { log, screen: process.stderr, own, ...parts }),
    );
    if (settings.keep) {
      await announce(running, settings, "the network stays up");
      await shutdown.done;
    }
    await shutdown.request("done");
    if (json) process.stdout.write(`${JSON.stringify(report)}\n`);
    return report.completed === settings.tasks ? 0 : 1;
  } catch (thrown) {
    const interrupted = shutdown.signal.aborted;
    // A second request would cut short the end that is under way.
    if (interrupted) await shutdown.done;
    else await shutdown.request("failed");
    await late;
    if (interrupted) {
      process.stderr.write("stopped; nothing is left behind\n");
      return 130;
    }
    const error = CodedError.from(thrown);
    process.stderr.write(explainError(error));
    if (error.code === "SVC-1000" && thrown instanceof Error) process.stderr.write(`${thrown.stack}\n`);
    return exitCodeOf(error);
  } finally {
    unhook();
  }
}

// What was cut short when its time was over may still hold the process.
endProcess(await main(process.argv[2], process.argv.slice(3)));
