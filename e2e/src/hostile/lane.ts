import { execFile } from "node:child_process";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import type { TaskOrder } from "@iexec-ts/network";
import type { TaskId } from "@iexec-ts/poco";
import { LABELS } from "@iexec-ts/sandbox";
import { freePort, readKeystore } from "@iexec-ts/service";
import type { Side } from "@iexec-ts/testkit";
import Docker from "dockerode";
import { z } from "zod";
import { SecretWatch } from "../operator/secret-watch.ts";
import { type Rig, startRig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import { SkipScenario } from "../scenario.ts";
import { type Canary, plantCanary } from "./host.ts";
import { argsOf, buildHostileImage, type ImageParts } from "./image.ts";
import { type DoingNothing, serveNothing } from "./pulse.ts";

export type Runtime = "runc" | "runsc";

/** Seconds of the short category: how long an app that must be stopped may run. */
export const PERIOD_S = 12;
export const OUTPUT_BYTES = 32 * 1_024 * 1_024;
export const MEMORY_MIB = 512;
const DOWNLOAD_BYTES = 4 * 1_024 * 1_024;
const APP_PRICE = 1_000_000n;

/** A network of its own with one worker, whose apps run under one runtime. */
export interface Lane {
  readonly runtime: Runtime;
  readonly rig: Rig;
  readonly docker: Docker;
  readonly parts: ImageParts;
  readonly worker: WorkerProcess;
  /** The worker's own page. */
  readonly pageUrl: string;
  /** The worker's folder of tasks: what apps may reach is below it. */
  readonly tasksDir: string;
  readonly shortCategory: bigint;
  /** A file outside everything an app may touch. */
  readonly canary: Canary;
  /** Tells a slow worker from a slow host. */
  readonly nothing: DoingNothing;
  /** Looks for the wallet's password and key where they must not be. */
  readonly watch: SecretWatch;
  /** A port of this host on which something listens on every address. */
  readonly listeningPort: number;
  buyScript(script: string, order?: Omit<TaskOrder, "args">): Promise<TaskId>;
  /** Ids of the containers this worker made so far. */
  readonly containers: ReadonlySet<string>;
  /** When the container of a task ended, in milliseconds. */
  diedAt(taskId: TaskId): number | undefined;
  /** What a command of the worker's operator prints; it must end well. */
  command(words: readonly string[]): Promise<string>;
  /** An app on chain with this image. */
  appWith(image: string): Promise<Side>;
  close(): Promise<void>;
}

/** The engine's registered runtimes decide whether there is anything to show. Errors: SkipScenario. */
async function requireRuntime(docker: Docker, runtime: Runtime): Promise<void> {
  const info: { Runtimes?: Record<string, unknown> } = await docker.info();
  if (runtime in (info.Runtimes ?? {})) return;
  throw new SkipScenario(`the engine has no runtime ${runtime}; ./run e2e hostile registers it on Debian as root (docs/security.md)`);
}

function listenEverywhere(): Promise<{ readonly server: Server; readonly port: number }> {
  return new Promise((resolve, reject) => {
    const server = createServer((_, response) => response.end("the host"));
    server.once("error", reject);
    server.listen(0, "0.0.0.0", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("no port"));
      else resolve({ server, port: address.port });
    });
  });
}

/** SIDE EFFECTS: a network, a worker process, a listener. Errors: SkipScenario where the runtime is missing. */
export async function openLane(runtime: Runtime, signal: AbortSignal): Promise<Lane> {
  const docker = new Docker();
  await requireRuntime(docker, runtime);
  let parts: ImageParts | undefined;
  const rig = await startRig(
    {
      wallets: 1,
      image: (given, stop) => {
        parts = given;
        return buildHostileImage(given, stop);
      },
      workerEnv: {
        IEXEC_WORKER_CONTAINER_RUNTIME: runtime,
        // What operators have: apps may reach the internet and nothing near.
        IEXEC_WORKER_TASK_NETWORK: "isolated",
        IEXEC_WORKER_OVERRIDE_AVAILABLE_CPU_COUNT: "2",
        IEXEC_WORKER_TASK_MEMORY_MIB: String(MEMORY_MIB),
        IEXEC_WORKER_MAX_OUTPUT_BYTES: String(OUTPUT_BYTES),
        IEXEC_WORKER_MAX_DOWNLOAD_BYTES: String(DOWNLOAD_BYTES),
        IEXEC_WORKER_DOWNLOAD_TIMEOUT: "3s",
      },
    },
    signal,
  );
  const { server, port: listeningPort } = await listenEverywhere();
  const nothing = await serveNothing();
  const watch = new SecretWatch("/var/run/docker.sock");
  await watch.start();
  try {
    if (parts === undefined) throw new Error("the rig built no image");
    const port = await freePort();
    const worker = rig.worker({ IEXEC_WORKER_PORT: String(port) }).start();
    const { roles } = rig.network.prepared;
    const app = rig.network.prepared.app;
    let apps = 0;
    const pageUrl = `http://127.0.0.1:${port}`;
    await rig.until(
      "the worker's page",
      () =>
        fetch(`${pageUrl}/v1/status`).then(
          (r) => r.ok || undefined,
          () => undefined,
        ),
      signal,
    );
    const password = watch.add("the wallet's password", worker.env.IEXEC_WORKER_WALLET_PASSWORD ?? "");
    watch.add("the wallet's key", (await readKeystore(worker.env.IEXEC_WORKER_WALLET_PATH ?? "", password)).privateKey.reveal());
    const follower = await followContainers(docker, worker.address);
    const lane: Lane = {
      runtime,
      rig,
      docker,
      parts,
      worker,
      pageUrl,
      tasksDir: join(worker.env.IEXEC_WORKER_BASE_DIR ?? "", worker.env.IEXEC_WORKER_NAME ?? ""),
      shortCategory: await rig.chain.createCategory("short", BigInt(PERIOD_S)),
      canary: await plantCanary(join(rig.network.dir, "canary")),
      nothing,
      watch,
      listeningPort,
      buyScript: (script, order = {}) => rig.buyOne(argsOf(script), { app, ...order }),
      async command(words) {
        const env = { PATH: process.env.PATH ?? "", NO_COLOR: "1", ...worker.env };
        return (await promisify(execFile)(process.execPath, [worker.program, ...words], { env, maxBuffer: 64 * 1_024 * 1_024 })).stdout;
      },
      appWith: async (image) => ({
        // The registry wants another name or image for each of an owner's apps.
        address: await rig.chain.createApp(roles.appDeveloper, { name: `${image} ${apps++}`, image }),
        owner: roles.appDeveloper,
        price: APP_PRICE,
      }),
      containers: follower.ids,
      diedAt: (taskId) => follower.ends.get(taskId),
      async close() {
        follower.stop();
        await watch.stop();
        nothing.close();
        server.closeAllConnections();
        server.close();
        await rig.close();
      },
    };
    // The first task of a worker waits for the proof of isolation; what is measured afterwards does not.
    const first = await lane.buyScript("say first; ok");
    await rig.until("the first task", () => worker.history(first).some(({ status }) => status === "COMPLETED") || undefined, signal);
    return lane;
  } catch (thrown) {
    await watch.stop();
    server.close();
    nothing.close();
    await rig.close();
    throw thrown;
  }
}

const eventSchema = z.object({
  Action: z.string(),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()).default({}) }),
  timeNano: z.number(),
});

/** Follows the containers of a worker through the engine's events. */
async function followContainers(docker: Docker, wallet: string) {
  const ids = new Set<string>();
  const ends = new Map<string, number>();
  const stream = await docker.getEvents({
    filters: { type: ["container"], event: ["create", "die"], label: [`${LABELS.worker}=${wallet}`] },
  });
  let rest = "";
  stream.on("data", (chunk: Buffer) => {
    const lines = `${rest}${chunk.toString("utf8")}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines.filter((text) => text.trim() !== "")) {
      const { Action, Actor, timeNano } = eventSchema.parse(JSON.parse(line));
      ids.add(Actor.ID);
      if (Action === "die") ends.set(Actor.Attributes[LABELS.task] ?? "", timeNano / 1e6);
    }
  });
  return {
    ids,
    ends,
    stop: () => {
      stream.removeAllListeners();
      if ("destroy" in stream && typeof stream.destroy === "function") stream.destroy();
    },
  };
}

/** Repeats a look at the outside world until it is as wanted, for things that have no event. */
export async function eventually(what: string, look: () => Promise<boolean>, limitMs = 20_000): Promise<void> {
  const until = Date.now() + limitMs;
  while (!(await look())) {
    if (Date.now() > until) throw new Error(`still not: ${what}`);
    await delay(100);
  }
}
