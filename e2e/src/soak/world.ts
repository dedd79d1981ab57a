import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { RunService, ServiceProgram } from "@iexec-ts/network";
import type { Address } from "@iexec-ts/poco";
import { freePort } from "@iexec-ts/service";
import type { Side } from "@iexec-ts/testkit";
import { z } from "zod";
import { buildProbeImage } from "../rig/probe-image.ts";
import { ProgramProcess } from "../rig/program-process.ts";
import { type Rig, startRig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { Ledger } from "./ledger.ts";
import type { Lot } from "./mix.ts";
import { Watched } from "./watched.ts";

/** A running network, every part of which that is ours is a process of its own. */
export interface World {
  readonly rig: Rig;
  readonly workers: readonly Watched<WorkerProcess>[];
  /** The workers, the scheduler and the result proxy. */
  readonly watched: readonly Watched[];
  /** Host and port of its image registry. */
  readonly registry: string;
  /** Folder of the services' logs; those of the workers are in the network's folder. */
  readonly logs: string;
  /** SIDE EFFECTS: stops everything; what its processes wrote is deleted. Idempotent. */
  close(): Promise<void>;
  /** SIDE EFFECTS: buys the tasks of one lot. */
  buy(lot: Lot, ledger: Ledger): Promise<void>;
}

const BLOCK_SECONDS = 1;
const READY_MS = 60_000;
const LARGE_MIB = 50;
/** Nobody is there: the contracts do not mind, and the call itself is the worker's and the scheduler's whole part. */
const CALLBACK: Address = "0x00000000000000000000000000000000000000aa";
const RLC = 1_000_000_000n;
const ETHER = 10n ** 18n;
/** For a day of work. */
const FUNDS = {
  workerEther: 10_000n * ETHER,
  workerDeposit: 100_000n * RLC,
  schedulerDeposit: 1_000_000n * RLC,
  requesterDeposit: 1_000_000n * RLC,
};

/** The logs are gone when this is read. */
const lastWords = async ({ process }: Watched): Promise<string> => (await readFile(process.logPath, "utf8").catch(() => "")).slice(-600);

async function ready(watched: Watched, signal: AbortSignal): Promise<void> {
  const until = Date.now() + READY_MS;
  while (!(await watched.answers())) {
    signal.throwIfAborted();
    const [crash] = watched.crashes;
    if (crash !== undefined) throw new Error(`${crash}: ${await lastWords(watched)}`);
    if (Date.now() > until) throw new Error(`${watched.name} does not answer at ${watched.url}: ${await lastWords(watched)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const workersAnswer = z.object({ workers: z.array(z.object({ wallet: z.string() })) });

/** A worker first proves its isolation, which takes seconds; its page is up before. */
async function registered(schedulerUrl: string, workers: readonly Watched<WorkerProcess>[], signal: AbortSignal): Promise<void> {
  const until = Date.now() + READY_MS * 2;
  for (;;) {
    signal.throwIfAborted();
    const answer = await fetch(`${schedulerUrl}/v1/workers`);
    const known = new Set(workersAnswer.parse(await answer.json()).workers.map(({ wallet }) => wallet));
    const missing = workers.find(({ process }) => !known.has(process.address));
    if (missing === undefined) return;
    if (Date.now() > until) throw new Error(`${missing.name} does not join the workerpool: ${await lastWords(missing)}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/**
 * SIDE EFFECTS: starts everything below `tmp`. In the first of every two workers a garbage collection is forced each second.
 * @param tmp - the TMPDIR of all processes
 */
export async function openWorld(options: { readonly workers: number; readonly tmp: string }, signal: AbortSignal): Promise<World> {
  const { tmp } = options;
  const logs = join(tmp, "logs");
  await mkdir(logs, { recursive: true });
  const services: Watched[] = [];
  const runService: RunService = async ({ name, path, env, url }: ServiceProgram) => {
    const process = new ProgramProcess({
      program: path,
      env: { ...env, TMPDIR: tmp, IEXEC_LOG_LEVEL: "info" },
      logPath: join(logs, `${name}.log`),
    });
    const service = new Watched(name, name, process, url);
    service.start();
    try {
      await ready(service, signal);
    } catch (thrown) {
      await service.stop();
      throw thrown;
    }
    services.push(service);
    return { close: () => service.stop() };
  };
  let registry = "";
  const rig = await startRig(
    {
      wallets: options.workers,
      blockTime: BLOCK_SECONDS,
      funds: FUNDS,
      runService,
      image: (deps, stop) => {
        registry = deps.registry.host;
        return buildProbeImage(deps, stop);
      },
    },
    signal,
  );
  try {
    const { prepared, schedulerUrl } = rig.network;
    const absent: Side = {
      ...prepared.app,
      address: await rig.chain.createApp(prepared.roles.appDeveloper, { name: "absent", image: `${registry}/iexec-ts/absent:1` }),
    };
    const workers: Watched<WorkerProcess>[] = [];
    for (let n = 0; n < options.workers; n += 1) {
      const port = await freePort();
      const env = { IEXEC_WORKER_PORT: String(port), IEXEC_WORKER_LOG_LEVEL: "info", TMPDIR: tmp };
      const process = rig.worker(env, undefined, n % 2 === 0 ? true : undefined);
      const worker = new Watched(`worker-${n + 1}`, "worker", process, `http://127.0.0.1:${port}`);
      workers.push(worker);
      worker.start();
    }
    await Promise.all(workers.map((worker) => ready(worker, signal)));
    await registered(schedulerUrl, workers, signal);
    const order = ({ kind, volume }: Lot): Parameters<Rig["buy"]> => {
      const bag = { volume: BigInt(volume) };
      switch (kind) {
        case "plain":
          return ["TEXT=soak", bag];
        case "trust-5":
          return ["TEXT=agreed", { ...bag, trust: 5n }];
        case "callback":
          return ["CALLBACK=0x50ac", { ...bag, callback: CALLBACK }];
        case "large":
          return [`MIB=${LARGE_MIB}`, bag];
        case "exit":
          return ["EXIT=3 NORESULT=1", bag];
        case "no-image":
          return ["TEXT=never", { ...bag, app: absent }];
        case "no-input":
          return ["TEXT=never", { ...bag, params: { iexec_input_files: [`${schedulerUrl}/no-such-input`] } }];
      }
    };
    return {
      rig,
      workers,
      watched: [...workers, ...services],
      registry,
      logs,
      close: async () => {
        await Promise.all(workers.map((worker) => worker.stop()));
        await rig.close();
        await rm(logs, { recursive: true, force: true });
      },
      buy: async (lot, ledger) => ledger.add(await rig.buy(...order(lot)), lot.kind),
    };
  } catch (thrown) {
    await rig.close();
    throw thrown;
  }
}
