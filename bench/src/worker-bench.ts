import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { type Figure, figure, quantile, type Rig, startRig, type WorkerProcess } from "@iexec-ts/e2e";
import type { ReplicateStatus, TaskId } from "@iexec-ts/poco";
import { encryptKeystore, readKeystore } from "@iexec-ts/service";
import { decryptRatios, zipHashRatios } from "./files.ts";

const IDLE_MS = 30_000;
const TICKS_PER_SECOND = 100;
const GIB = 1_024 ** 3;

export interface WorkerBenchOptions {
  readonly bundle: string;
  readonly starts: number;
  readonly tasks: number;
  readonly fileBytes: number;
  readonly fileRounds: number;
}

export const FULL: Omit<WorkerBenchOptions, "bundle"> = { starts: 5, tasks: 20, fileBytes: GIB, fileRounds: 5 };

/** What a worker costs on its host, and what it adds to a task. */
export async function benchWorker(options: WorkerBenchOptions, signal: AbortSignal): Promise<Readonly<Record<string, Figure>>> {
  const rig = await startRig({ wallets: 1 }, signal);
  try {
    const worker = rig.worker({ IEXEC_WORKER_LOG_LEVEL: "info" }, options.bundle);
    await useStandardKeystore(worker);
    const starts: number[] = [];
    for (let n = 0; n < options.starts; n += 1) {
      starts.push(await startToRegistered(rig, worker, signal));
      if (n + 1 < options.starts) await worker.stop();
    }
    const idle = await idleCost(worker, signal);
    const overheads = await taskOverheads(rig, worker, options.tasks, signal);
    await worker.stop();
    return {
      start_to_registered_ms: figure(starts, "ms", { max: 1_500 }),
      idle_rss_mib: figure([idle.rssMib], "MiB", { max: 120 }),
      idle_cpu_percent: figure([idle.cpuPercent], "%", { max: 1 }),
      task_overhead_p50_ms: figure(overheads, "ms", { max: 1_000 }),
      task_overhead_p99_ms: figure(overheads, "ms", { max: 3_000 }, quantile(overheads, 0.99)),
      zip_hash_ratio: figure(await zipHashRatios(options.fileBytes, options.fileRounds), "ratio", { min: 0.8 }),
      decrypt_ratio: figure(await decryptRatios(options.fileBytes, options.fileRounds), "ratio", { min: 0.8 }),
    };
  } finally {
    await rig.close();
  }
}

/** The network's keystores are light ones; an operator's is not. */
async function useStandardKeystore(worker: WorkerProcess): Promise<void> {
  const path = worker.env.IEXEC_WORKER_WALLET_PATH ?? "";
  const password = worker.env.IEXEC_WORKER_WALLET_PASSWORD ?? "";
  const wallet = await readKeystore(path, password);
  await writeFile(path, await encryptKeystore(wallet.privateKey.reveal(), password), { mode: 0o600 });
}

async function startToRegistered(rig: Rig, worker: WorkerProcess, signal: AbortSignal): Promise<number> {
  const logged = (): string => (existsSync(worker.logPath) ? readFileSync(worker.logPath, "utf8") : "");
  const before = logged().length;
  const from = performance.now();
  worker.start();
  await rig.until(
    "the worker says it is set",
    () => (logged().slice(before).includes("iexec-worker is all set") ? true : undefined),
    signal,
    5,
  );
  return performance.now() - from;
}

const cpuTicks = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return Number(fields[11]) + Number(fields[12]);
};

async function idleCost(worker: WorkerProcess, signal: AbortSignal): Promise<{ rssMib: number; cpuPercent: number }> {
  const { pid } = worker;
  if (pid === undefined) throw new Error("the worker does not run");
  await delay(5_000, undefined, { signal });
  const before = cpuTicks(pid);
  await delay(IDLE_MS, undefined, { signal });
  const seconds = (cpuTicks(pid) - before) / TICKS_PER_SECOND;
  const kib = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  return { rssMib: kib / 1_024, cpuPercent: (seconds / (IDLE_MS / 1_000)) * 100 };
}

/** Time that is the container's, the chain's, the registry's or the scheduler's, not ours. */
const NOT_OURS: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
  "APP_DOWNLOADING",
  "COMPUTING",
  "CONTRIBUTING",
  "CONTRIBUTED",
  "REVEALING",
  "REVEALED",
  "RESULT_UPLOADED",
]);

/** Runs tiny tasks one after the other and adds up what the worker itself spent on each, in milliseconds. */
async function taskOverheads(rig: Rig, worker: WorkerProcess, count: number, signal: AbortSignal): Promise<readonly number[]> {
  const overheads: number[] = [];
  for (let n = 0; n < count; n += 1) {
    const taskId = await rig.buyOne(`TEXT=${n}`);
    await rig.untilStatus(taskId, "COMPLETED", signal);
    overheads.push(ourShare(worker, taskId));
  }
  return overheads;
}

function ourShare(worker: WorkerProcess, taskId: TaskId): number {
  const history = worker.history(taskId);
  let ours = 0;
  for (const [index, { status, at }] of history.entries()) {
    const next = history[index + 1];
    if (next === undefined) break;
    const spent = next.at.getTime() - at.getTime();
    if (status === "COMPUTING") ours += Math.max(0, spent - containerMs(worker, taskId));
    else if (!NOT_OURS.has(status)) ours += spent;
  }
  return ours;
}

function containerMs(worker: WorkerProcess, taskId: TaskId): number {
  for (const line of readFileSync(worker.logPath, "utf8").split("\n")) {
    if (!line.includes('"containerMs"') || !line.includes(taskId)) continue;
    const found = /"containerMs":(\d+)/.exec(line)?.[1];
    if (found !== undefined) return Number(found);
  }
  throw new Error(`the worker's log does not say how long the container of ${taskId} ran`);
}
