import type { ReplicateStatus } from "@iexec-ts/poco";

/** Durations of one phase, in milliseconds. @source iexec-worker AggregatedDurations; without samples Java writes NaN, as text */
export interface AggregatedDurations {
  readonly durationSamplesCount: number;
  readonly minDuration: number | "NaN";
  readonly maxDuration: number | "NaN";
  readonly averageDuration: number | "NaN";
}

/** What the Java worker answers at /metrics. @source iexec-worker WorkerMetrics */
export interface JavaWorkerMetrics {
  readonly preComputeDurations: AggregatedDurations;
  readonly appComputeDurations: AggregatedDurations;
  readonly postComputeDurations: AggregatedDurations;
  readonly completeComputeDurations: AggregatedDurations;
}

/** @source iexec-worker: IEXEC_WORKER_METRICS_WINDOW_SIZE */
const WINDOW = 1_000;

function aggregate(samples: readonly number[]): AggregatedDurations {
  if (samples.length === 0) return { durationSamplesCount: 0, minDuration: "NaN", maxDuration: "NaN", averageDuration: "NaN" };
  return {
    durationSamplesCount: samples.length,
    minDuration: Math.min(...samples),
    maxDuration: Math.max(...samples),
    averageDuration: samples.reduce((sum, ms) => sum + ms, 0) / samples.length,
  };
}

/** How long apps computed since the start of this worker, the last thousand of them. */
export class ComputeDurations {
  readonly #begun = new Map<string, number>();
  readonly #samples: number[] = [];

  /** @returns seconds, when this status ends a computation whose begin was seen */
  note({ taskId, status, at }: { readonly taskId: string; readonly status: ReplicateStatus; readonly at: Date }): number | undefined {
    if (status === "COMPUTING") {
      this.#begun.set(taskId, at.getTime());
      return undefined;
    }
    const begun = this.#begun.get(taskId);
    this.#begun.delete(taskId);
    if (begun === undefined || status !== "COMPUTED") return undefined;
    const ms = at.getTime() - begun;
    this.#samples.push(ms);
    if (this.#samples.length > WINDOW) this.#samples.shift();
    return ms / 1_000;
  }

  /** Without TEE there is no pre- and no post-compute: the app is the whole. */
  javaMetrics(): JavaWorkerMetrics {
    const app = aggregate(this.#samples);
    return {
      preComputeDurations: aggregate([]),
      appComputeDurations: app,
      postComputeDurations: aggregate([]),
      completeComputeDurations: app,
    };
  }
}
