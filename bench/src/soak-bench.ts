import { readdirSync, readFileSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Figure, figure, startRig, type WorkerProcess } from "@iexec-ts/e2e";

/** Tasks bought in one deal; the worker takes them one after the other. */
const BATCH = 20;

interface Sample {
  readonly rssMib: number;
  readonly handles: number;
  readonly diskKib: number;
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((e) => e.isFile())
      .map((e) =>
        stat(join(e.parentPath, e.name)).then(
          (s) => s.size,
          () => 0,
        ),
      ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function sample(worker: WorkerProcess): Promise<Sample> {
  const status = readFileSync(`/proc/${worker.pid}/status`, "utf8");
  return {
    rssMib: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024,
    handles: readdirSync(`/proc/${worker.pid}/fd`).length,
    diskKib: (await sizeOf(join(worker.env.IEXEC_WORKER_BASE_DIR ?? "", worker.env.IEXEC_WORKER_NAME ?? ""))) / 1_024,
  };
}

/** Many tiny tasks on one worker: all completed, and nothing grows. Growth is the last quarter's mean over the second's. */
export async function benchSoak(
  options: { readonly tasks: number; readonly bundle: string },
  signal: AbortSignal,
): Promise<Readonly<Record<string, Figure>>> {
  const rig = await startRig({ wallets: 1 }, signal);
  try {
    const worker = rig.worker({ IEXEC_WORKER_LOG_LEVEL: "warn" }, options.bundle).start();
    const samples: Sample[] = [];
    let completed = 0;
    const from = performance.now();
    for (let bought = 0; bought < options.tasks; bought += BATCH) {
      const volume = Math.min(BATCH, options.tasks - bought);
      for (const taskId of await rig.buy("TEXT=soak", { volume: BigInt(volume) })) {
        await rig.untilStatus(taskId, "COMPLETED", signal);
        completed += 1;
        samples.push(await sample(worker));
      }
    }
    const minutes = (performance.now() - from) / 60_000;
    await worker.stop();
    const growth = (pick: (s: Sample) => number): number => {
      const quarter = Math.floor(samples.length / 4);
      const mean = (part: readonly Sample[]) => part.reduce((sum, s) => sum + pick(s), 0) / Math.max(1, part.length);
      return mean(samples.slice(-quarter)) / Math.max(1, mean(samples.slice(quarter, 2 * quarter)));
    };
    return {
      completed: figure([completed], "tasks", { min: options.tasks }),
      tasks_per_minute: figure([completed / minutes], "1/min"),
      rss_mib: figure(
        samples.map((s) => s.rssMib),
        "MiB",
      ),
      rss_growth: figure([growth((s) => s.rssMib)], "ratio", { max: 1.1 }),
      handles: figure(
        samples.map((s) => s.handles),
        "fds",
      ),
      handles_growth: figure([growth((s) => s.handles)], "ratio", { max: 1.1 }),
      disk_left_kib: figure([samples.at(-1)?.diskKib ?? 0], "KiB", { max: 64 }),
    };
  } finally {
    await rig.close();
  }
}
