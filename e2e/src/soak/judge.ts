import { setTimeout as delay } from "node:timers/promises";
import type { PoolTaskView, Rig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { ChainEnd, Ledger, SoakTask } from "./ledger.ts";
import type { Watched } from "./watched.ts";

/** How a task ended; `open` when it has not, or not as it may. */
export type Verdict = "completed" | "failed-as-expected" | "open";

export interface StuckTask {
  readonly taskId: string;
  readonly kind: string;
  readonly ageSeconds: number;
  readonly chain: string;
  /** As the workerpool's API shows them: the last status of each, and when. */
  readonly replicates: readonly string[];
  /** As the workers' own journals show them. */
  readonly workers: readonly string[];
}

export interface Judgement {
  readonly completed: number;
  readonly failedAsExpected: number;
  readonly stuck: readonly StuckTask[];
}

const AT_ONCE = 8;
const LOOK_MS = 1_000;
const AFTER_FAILURE: ReadonlySet<string> = new Set(["COMPUTE_FAILED", "FAILED", "WORKER_LOST"]);

/**
 * How a task ended, by the chain. An app that fails contributes nothing: on chain its task stays as it was initialized until the final
 * deadline, and that nobody is still at work on it only the workerpool can say.
 */
export function verdictOf(task: Pick<SoakTask, "kind">, chain: ChainEnd, pool: PoolTaskView | undefined): Verdict {
  if (task.kind !== "exit") return chain.status === "COMPLETED" ? "completed" : "open";
  if (chain.status === "FAILED") return "failed-as-expected";
  if (chain.status !== "ACTIVE" || chain.contributors > 0 || pool === undefined) return "open";
  const failed = pool.replicates.filter(
    ({ status, history }) => AFTER_FAILURE.has(status) && history.some((entry) => entry.status === "COMPUTE_FAILED"),
  );
  const gone = pool.replicates.filter(({ status }) => status === "WORKER_LOST");
  return failed.length > 0 && new Set([...failed, ...gone]).size === pool.replicates.length ? "failed-as-expected" : "open";
}

/** Runs `work` on each item, a few at once. */
async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const line = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, line));
}

const poolTask = (rig: Rig, { id }: SoakTask): Promise<PoolTaskView | undefined> => rig.poolTask(id).catch(() => undefined);

/**
 * Waits until every task has ended as it may, then says how each did.
 *
 * @param boundMs - gives up when no task has ended for so long: on a slow machine the last ones take their time
 * @param signal - ends it with its reason
 */
export async function judge(
  rig: Rig,
  ledger: Ledger,
  workers: readonly Watched<WorkerProcess>[],
  boundMs: number,
  signal: AbortSignal,
): Promise<Judgement> {
  let until = Date.now() + boundMs;
  const verdicts = new Map<string, Verdict>();
  let open = [...ledger.tasks];
  for (;;) {
    await ledger.follow();
    // Reading all of them each second would be a load of its own: only those the events name, and those that need the pool's word.
    const isLast = Date.now() > until;
    const worth = open.filter(({ id, kind }) => isLast || kind === "exit" || ledger.isOver(id));
    await each(worth, async (task) => {
      verdicts.set(task.id, verdictOf(task, await ledger.end(task.id), task.kind === "exit" ? await poolTask(rig, task) : undefined));
    });
    const before = open.length;
    open = open.filter(({ id }) => (verdicts.get(id) ?? "open") === "open");
    if (open.length < before) until = Date.now() + boundMs;
    if (open.length === 0 || isLast) break;
    await delay(LOOK_MS, undefined, { signal });
  }
  const count = (wanted: Verdict): number => [...verdicts.values()].filter((verdict) => verdict === wanted).length;
  const stuck: StuckTask[] = [];
  await each(open, async (task) => void stuck.push(await describe(rig, ledger, workers, task)));
  return { completed: count("completed"), failedAsExpected: count("failed-as-expected"), stuck };
}

/**
 * Waits until no worker's journal holds a replicate open, then says which do: a worker does not close one in the block that ends its task.
 *
 * @param boundMs - gives up when none was closed for so long
 * @param signal - ends it with its reason
 */
export async function openReplicates(
  workers: readonly Watched<WorkerProcess>[],
  boundMs: number,
  signal: AbortSignal,
): Promise<readonly string[]> {
  let until = Date.now() + boundMs;
  let before = Number.POSITIVE_INFINITY;
  for (;;) {
    const open = workers.flatMap(({ name, process }) =>
      (process.journal()?.replicates ?? [])
        .filter(({ closedAt }) => closedAt === undefined)
        .map(({ taskId, status, updatedAt }) => `${name} ${taskId} ${status} since ${updatedAt.toISOString()}`),
    );
    if (open.length < before) until = Date.now() + boundMs;
    if (open.length === 0 || Date.now() >= until) return open;
    before = open.length;
    await delay(LOOK_MS, undefined, { signal });
  }
}

async function describe(rig: Rig, ledger: Ledger, workers: readonly Watched<WorkerProcess>[], task: SoakTask): Promise<StuckTask> {
  const [chain, pool] = await Promise.all([ledger.end(task.id), poolTask(rig, task)]);
  return {
    taskId: task.id,
    kind: task.kind,
    ageSeconds: Math.round((Date.now() - task.boughtAtMs) / 1_000),
    chain: `${chain.status}, ${chain.contributors} contributions`,
    replicates:
      pool === undefined
        ? ["the workerpool does not know it"]
        : [
            `task ${pool.status}`,
            ...pool.replicates.map(({ wallet, status, history }) => `${wallet} ${status} since ${history.at(-1)?.at ?? "never"}`),
          ],
    workers: workers.flatMap(({ name, process }) => {
      const replicate = process.journal()?.replicates.find(({ taskId }) => taskId === task.id);
      if (replicate === undefined) return [];
      const { status, updatedAt, closedAt } = replicate;
      return [`${name} ${status} since ${updatedAt.toISOString()}${closedAt === undefined ? "" : ", closed"}`];
    }),
  };
}
