import type { ReplicateStatus, TaskId } from "@iexec-ts/poco";
import { createLogUpdate } from "log-update";

export interface ReplicateLine {
  readonly worker: string;
  readonly status: ReplicateStatus;
  /** When the status began. */
  readonly since: Date;
}

export interface TaskLines {
  readonly taskId: TaskId;
  /** What the chain says of the task, in a few words. */
  readonly chain: string;
  readonly replicates: readonly ReplicateLine[];
}

const MARKS: Partial<Record<ReplicateStatus, string>> = { COMPLETED: "✔", FAILED: "✖", WORKER_LOST: "!", OUT_OF_GAS: "!", RECOVERING: "!" };
const BAD = /FAILED|TIMEOUT|ABORTED|^CANT_/;

const mark = (status: ReplicateStatus): string => MARKS[status] ?? (BAD.test(status) ? "✖" : "·");
const age = (since: Date, now: Date): string => `${Math.max(0, (now.getTime() - since.getTime()) / 1_000).toFixed(1)} s`;
const short = (id: string): string => `${id.slice(0, 8)}…${id.slice(-4)}`;

/** The state of all tasks as text: a heading per task with the chain's view, one line per replicate with its status and age. */
export function renderTasks(tasks: readonly TaskLines[], now: Date, maxTasks = 12): string {
  const lines = tasks
    .slice(0, maxTasks)
    .flatMap(({ taskId, chain, replicates }) => [
      `task ${short(taskId)}   chain: ${chain}`,
      ...replicates.map(
        ({ worker, status, since }) => `  ${mark(status)} ${worker.padEnd(10)} ${status.padEnd(28)} ${age(since, now).padStart(8)}`,
      ),
    ]);
  const hidden = tasks.length - maxTasks;
  return [...lines, ...(hidden > 0 ? [`… and ${hidden} more tasks`] : [])].join("\n");
}

export interface LiveView {
  /** Draws again; without a terminal, prints only what changed. */
  show(tasks: readonly TaskLines[]): void;
  /** Leaves the last picture on the screen. */
  end(): void;
}

/** A view that redraws in place on a terminal, and otherwise prints one line per change. */
export function createLiveView(stream: NodeJS.WriteStream, now: () => Date): LiveView {
  if (stream.isTTY) {
    const update = createLogUpdate(stream);
    let latest: readonly TaskLines[] = [];
    const draw = () => update(renderTasks(latest, now()));
    const ticking = setInterval(draw, 200);
    ticking.unref();
    return {
      show(tasks) {
        latest = tasks;
        draw();
      },
      end() {
        clearInterval(ticking);
        draw();
        update.done();
      },
    };
  }
  const printed = new Map<string, string>();
  return {
    show(tasks) {
      for (const { taskId, chain, replicates } of tasks) {
        for (const { worker, status } of replicates) {
          const key = `${taskId} ${worker}`;
          if (printed.get(key) === status) continue;
          printed.set(key, status);
          stream.write(`${now().toISOString()} ${short(taskId)} ${worker} ${status} (chain: ${chain})\n`);
        }
      }
    },
    end() {
      printed.clear();
    },
  };
}
