import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { TaskOrder } from "@iexec-ts/network";
import type { ReplicateStatus, TaskId } from "@iexec-ts/poco";
import { spawnOwned, startHttpFaultProxy } from "@iexec-ts/testkit";
import Docker from "dockerode";
import { z } from "zod";
import type { Rig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { Scenario } from "../scenario.ts";
import { rememberProxy, remembers } from "./remembered-proxy.ts";
import { slowFile } from "./slow-file.ts";

/** What these scenarios need of the set they are part of. */
interface Ground {
  readonly rig: Rig;
}

const LONG = 240_000;
const GRACE_MS = 5_000;
/** For the end of the process itself on a busy machine. */
const SLACK_MS = 1_500;

interface Held {
  /** Lets what was held go on. */
  release(): Promise<void>;
  /** More environment for the worker. */
  readonly env?: Readonly<Record<string, string>>;
}

interface Moment {
  readonly args: string;
  readonly order?: Omit<TaskOrder, "args">;
  /** Where the signal comes. */
  readonly at: ReplicateStatus;
  /** Makes the status last, before the worker starts or the task is bought. */
  hold?(rig: Rig, worker: WorkerProcess, signal: AbortSignal): Promise<Held & { readonly order?: Omit<TaskOrder, "args"> }>;
  /** What happens while the app computes. */
  whileComputing?(rig: Rig, worker: WorkerProcess, signal: AbortSignal): Promise<void>;
  /** Once the task is in this status the worker is told to end. */
  arrive?(rig: Rig, worker: WorkerProcess, taskId: TaskId, signal: AbortSignal): Promise<void>;
  /** Containers that may stay: the app goes on computing. */
  readonly containers: number;
  /** What else the task needs to be completed after the restart. */
  help?(rig: Rig, signal: AbortSignal): Promise<WorkerProcess>;
}

const statuses = (worker: WorkerProcess, taskId: TaskId): readonly ReplicateStatus[] => worker.history(taskId).map(({ status }) => status);

const reaches = (rig: Rig, worker: WorkerProcess, taskId: TaskId, status: ReplicateStatus, signal: AbortSignal): Promise<true> =>
  rig.until(
    `${status} of ${taskId}`,
    () => {
      const seen = statuses(worker, taskId);
      if (seen.includes(status)) return true;
      if (!worker.running) throw new Error(`the worker ended before ${status}: ${seen.join(" ")}`);
      return undefined;
    },
    signal,
    20,
  );

async function rpc(rig: Rig, method: string, ...params: readonly unknown[]): Promise<void> {
  const answer = await fetch(rig.chain.rpcUrl, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
  const { error } = z
    .looseObject({ error: z.unknown() })
    .partial()
    .parse(await answer.json());
  if (error !== undefined) throw new Error(`${method}: ${JSON.stringify(error)}`);
}

const sent = (rig: Rig, worker: WorkerProcess, blockTag: "latest" | "pending"): Promise<number> =>
  rig.chain.client.getTransactionCount({ address: worker.address, blockTag });

const untilPending = (rig: Rig, worker: WorkerProcess, count: number, signal: AbortSignal): Promise<true> =>
  rig.until(`${count} transactions of the worker`, async () => ((await sent(rig, worker, "pending")) >= count ? true : undefined), signal);

/** Tells the worker to end and looks at its watch. */
async function told(worker: WorkerProcess, how: "SIGTERM" | "twice"): Promise<number> {
  const { pid } = worker;
  if (pid === undefined || !worker.running) throw new Error("the worker does not run");
  const from = performance.now();
  process.kill(pid, "SIGTERM");
  if (how === "twice") process.kill(pid, "SIGTERM");
  const code = await worker.exited;
  const ms = performance.now() - from;
  if (code !== 0) throw new Error(`it ended with ${code}`);
  return ms;
}

/** What a stopped worker may leave: its files, its journal, and the container of an app that still computes. */
async function leftovers(worker: WorkerProcess, containers: number): Promise<void> {
  const stateDir = worker.env.IEXEC_WORKER_STATE_DIR ?? "";
  const sockets = readdirSync(stateDir).filter((name) => name.endsWith(".sock"));
  if (sockets.length > 0) throw new Error(`left behind: ${sockets.join(", ")}`);
  const docker = new Docker();
  const left = await docker.listContainers({ all: true, filters: { label: [`iexec.worker=${worker.address}`] } });
  if (left.length !== containers)
    throw new Error(
      `${left.length} containers are left, not ${containers}: ${left.map(({ Names, State }) => `${Names.join(" ")} ${State}`).join(", ")}`,
    );
  // The lock is the kernel's: it can be had again exactly when nobody holds it.
  const lock = new DatabaseSync(join(stateDir, `${worker.address}.lock`));
  lock.exec("PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE; ROLLBACK;");
  lock.close();
}

async function stopIn(rig: Rig, signal: AbortSignal, moment: Moment): Promise<string> {
  const worker = rig.worker({ IEXEC_WORKER_GRACE_PERIOD: `${GRACE_MS}ms` });
  const held = await moment.hold?.(rig, worker, signal);
  let helper: WorkerProcess | undefined;
  try {
    worker.start(held?.env ?? {});
    const taskId = await rig.buyOne(moment.args, { ...moment.order, ...held?.order });
    if (moment.whileComputing !== undefined) {
      await reaches(rig, worker, taskId, "COMPUTING", signal);
      await moment.whileComputing(rig, worker, signal);
    }
    await reaches(rig, worker, taskId, moment.at, signal);
    await moment.arrive?.(rig, worker, taskId, signal);
    const ms = await told(worker, "SIGTERM");
    if (ms > GRACE_MS + SLACK_MS) throw new Error(`it took ${Math.round(ms)} ms to end, with ${GRACE_MS} ms of grace`);
    const before = statuses(worker, taskId);
    if (before.at(-1) !== moment.at) throw new Error(`it ended in ${before.at(-1)}, not in ${moment.at}`);
    await leftovers(worker, moment.containers);
    await held?.release();
    worker.start();
    helper = await moment.help?.(rig, signal);
    await rig.until("the end of the task", () => (statuses(worker, taskId).includes("COMPLETED") ? true : undefined), signal);
    const count = await sent(rig, worker, "latest");
    if (count !== 2) throw new Error(`${count} transactions, not one contribution and one reveal`);
    const { locked } = await rig.network.hub.account(worker.address);
    if (locked !== 0n) throw new Error(`${locked} nRLC are still locked`);
    return `ended ${(ms / 1_000).toFixed(1)} s after the signal in ${moment.at}, nothing left behind; started again: COMPLETED, nothing sent twice`;
  } finally {
    await held?.release();
    await Promise.all([worker.stop(), helper?.stop()]);
  }
}

const automine = (rig: Rig, on: boolean): Promise<void> => rpc(rig, "evm_setAutomine", on);

const MOMENTS: Readonly<Record<string, Moment>> = {
  downloading: {
    args: "TEXT=downloaded",
    at: "DATA_DOWNLOADING",
    containers: 0,
    async hold() {
      const file = await slowFile();
      return {
        order: { params: { iexec_input_files: [file.url] } },
        async release() {
          file.release();
        },
      };
    },
  },
  computing: {
    args: "SLEEP=15 TEXT=computed",
    at: "COMPUTING",
    containers: 1,
    async arrive(rig, _, taskId, signal) {
      // The status comes before the container.
      const docker = new Docker();
      const filters = { label: [`iexec.task=${taskId}`] };
      await rig.until("its container", async () => ((await docker.listContainers({ filters })).length > 0 ? true : undefined), signal);
    },
  },
  contributing: {
    args: "SLEEP=4 TEXT=contributing",
    at: "CONTRIBUTING",
    containers: 0,
    hold: async (rig) => ({
      release: async () => {
        await automine(rig, true);
        await rpc(rig, "evm_mine");
      },
    }),
    whileComputing: (rig) => automine(rig, false),
    async arrive(rig, worker, _, signal) {
      await untilPending(rig, worker, 1, signal);
    },
  },
  waiting: {
    args: "TEXT=waiting",
    order: { trust: 3n },
    at: "CONTRIBUTED",
    containers: 0,
    help: async (rig) => rig.worker().start(),
  },
  revealing: {
    args: "SLEEP=4 TEXT=revealing",
    at: "REVEALING",
    containers: 0,
    hold: async (rig) => ({
      release: async () => {
        await automine(rig, true);
        await rpc(rig, "evm_mine");
      },
    }),
    async whileComputing(rig, worker, signal) {
      await automine(rig, false);
      await untilPending(rig, worker, 1, signal);
      await rpc(rig, "evm_mine");
    },
    async arrive(rig, worker, _, signal) {
      await untilPending(rig, worker, 2, signal);
    },
  },
  uploading: {
    args: "TEXT=uploading",
    at: "RESULT_UPLOADING",
    containers: 0,
    async hold(rig, worker, signal) {
      // A worker that knows its network goes on with the result proxy it remembers.
      worker.start();
      await rig.until("the journal", () => (existsSync(worker.journalPath) && remembers(worker) ? true : undefined), signal);
      await worker.stop();
      const proxy = await startHttpFaultProxy(rig.network.resultProxyUrl);
      proxy.faults.delayMs = 600_000;
      proxy.faults.only = (method) => method === "GET" || method === "PUT" || method === "POST";
      rememberProxy(worker, proxy);
      return {
        async release() {
          rememberProxy(worker, { url: rig.network.resultProxyUrl });
          await proxy.stop();
        },
      };
    },
  },
};

/** One command of `iexec-worker` with this worker's own settings. */
export function command(
  worker: WorkerProcess,
  args: readonly string[],
): Promise<{ readonly code: number | null; readonly data: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const child = spawnOwned(process.execPath, [worker.program, ...args, "--json"], {
      env: { PATH: process.env.PATH ?? "", ...worker.env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let out = "";
    child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.once("error", reject);
    child.once("close", (code) => {
      const line = out.trim().split("\n").at(-1) ?? "";
      try {
        resolve({ code, data: z.record(z.string(), z.unknown()).parse(JSON.parse(line)) });
      } catch {
        reject(new Error(`${args.join(" ")} ended with ${code} and said ${out.slice(-300)}`));
      }
    });
  });
}

/** SIGTERM in each state of a task, and the ways to stop a worker. */
export const STOPPING_SCENARIOS: readonly Scenario<Ground>[] = [
  ...Object.entries(MOMENTS).map(
    ([name, moment]): Scenario<Ground> => ({
      id: `sigterm-${name}`,
      timeoutMs: LONG,
      run: ({ rig }, signal) => stopIn(rig, signal, moment),
    }),
  ),
  {
    id: "sigterm-grace-is-over",
    timeoutMs: LONG,
    async run({ rig }, signal) {
      // A report that the scheduler never acknowledges outlasts this grace period.
      const graceMs = 1_000;
      const proxy = await startHttpFaultProxy(rig.network.schedulerUrl);
      const worker = rig.worker({ IEXEC_CORE_URL: proxy.url, IEXEC_WORKER_GRACE_PERIOD: `${graceMs}ms` });
      try {
        worker.start();
        const taskId = await rig.buyOne("SLEEP=4 TEXT=grace");
        await rig.untilStatus(taskId, "COMPUTING", signal, worker.address);
        proxy.faults.delayMs = 600_000;
        await reaches(rig, worker, taskId, "CONTRIBUTED", signal);
        const ms = await told(worker, "SIGTERM");
        if (ms < graceMs || ms > graceMs + SLACK_MS) throw new Error(`it ended after ${Math.round(ms)} ms, with ${graceMs} ms of grace`);
        await leftovers(worker, 0);
        proxy.heal();
        worker.start();
        await reaches(rig, worker, taskId, "COMPLETED", signal);
        const count = await sent(rig, worker, "latest");
        if (count !== 2) throw new Error(`${count} transactions, not one contribution and one reveal`);
        return `ended ${Math.round(ms)} ms after the signal, with ${graceMs} ms of grace; started again: COMPLETED, nothing sent twice`;
      } finally {
        await worker.stop();
        await proxy.stop();
      }
    },
  },
  {
    id: "sigterm-twice",
    timeoutMs: LONG,
    async run({ rig }, signal) {
      // A scheduler that does not answer makes an orderly end slow.
      const proxy = await startHttpFaultProxy(rig.network.schedulerUrl);
      const worker = rig.worker({ IEXEC_CORE_URL: proxy.url, IEXEC_WORKER_GRACE_PERIOD: "60s" });
      try {
        worker.start();
        const taskId = await rig.buyOne("SLEEP=8 TEXT=twice");
        await rig.untilStatus(taskId, "COMPUTING", signal, worker.address);
        proxy.faults.down = true;
        const ms = await told(worker, "twice");
        if (ms > SLACK_MS) throw new Error(`it took ${Math.round(ms)} ms to end after the second signal`);
        proxy.heal();
        // What it does again must not reach the scheduler before the scheduler knows that it was away.
        proxy.faults.only = (_, path) => path.includes("interrupted");
        proxy.faults.delayMs = 2_000;
        worker.start();
        await rig.until("the end of the task", () => (statuses(worker, taskId).includes("COMPLETED") ? true : undefined), signal);
        return `ended ${Math.round(ms)} ms after the second signal; started again: COMPLETED`;
      } finally {
        await worker.stop();
        await proxy.stop();
      }
    },
  },
  {
    id: "stop-drain",
    short: true,
    timeoutMs: LONG,
    async run({ rig }, signal) {
      const worker = rig.worker().start();
      try {
        const first = await rig.buyOne("SLEEP=6 TEXT=drained");
        await reaches(rig, worker, first, "COMPUTING", signal);
        const draining = command(worker, ["stop", "--drain", "--timeout", "120s"]);
        // Its log, not `status`: on a busy machine a drain is over before another command has started.
        await rig.until("DRAINING", () => (readFileSync(worker.logPath, "utf8").includes("WRK-1511") ? true : undefined), signal);
        const second = await rig.buyOne("TEXT=next");
        const { code, data } = await draining;
        if (code !== 0 || data.drained !== true) throw new Error(`stop --drain ended with ${code}: ${JSON.stringify(data)}`);
        if ((await worker.exited) !== 0) throw new Error("the worker did not end with 0");
        const seen = statuses(worker, first);
        if (!seen.includes("RESULT_UPLOADED")) throw new Error(`drained in ${seen.at(-1)}`);
        if (statuses(worker, second).length > 0) throw new Error("it took a task while draining");
        await leftovers(worker, 0);
        worker.start();
        await reaches(rig, worker, second, "COMPLETED", signal);
        return "finished its task to the upload, took no new one, ended with 0; started again it took the next one";
      } finally {
        await worker.stop();
      }
    },
  },
  {
    id: "pause-survives-a-restart",
    timeoutMs: LONG,
    async run({ rig }, signal) {
      const worker = rig.worker().start();
      const stateOf = async () => (await command(worker, ["status"])).data.state;
      try {
        await rig.until("RUNNING", async () => ((await stateOf()) === "RUNNING" ? true : undefined), signal);
        await rig.until("a pause", async () => ((await command(worker, ["pause"])).code === 0 ? true : undefined), signal);
        if ((await stateOf()) !== "PAUSED") throw new Error(`it is ${await stateOf()}`);
        await worker.stop();
        worker.start();
        await rig.until("PAUSED again", async () => ((await stateOf()) === "PAUSED" ? true : undefined), signal);
        const taskId = await rig.buyOne("TEXT=later");
        const idle = await command(worker, ["why-idle"]);
        if (!JSON.stringify(idle.data.reasons).includes('"paused"')) throw new Error(`why-idle says ${JSON.stringify(idle.data.reasons)}`);
        if (statuses(worker, taskId).length > 0) throw new Error("it took a task while paused");
        const resumed = await command(worker, ["resume"]);
        if (resumed.code !== 0) throw new Error(`resume ended with ${resumed.code}`);
        await reaches(rig, worker, taskId, "COMPLETED", signal);
        return "paused, restarted, still paused and said so; resumed: COMPLETED";
      } finally {
        await worker.stop();
      }
    },
  },
];
