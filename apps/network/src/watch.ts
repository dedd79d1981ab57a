import { type ChainTask, isFinal, type TaskId } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import type { Network } from "./network.ts";
import { Doubt, describeReplicates, type OutlookWorker, whyImpossible } from "./outlook.ts";
import { followStatuses, type PoolTask, readTask } from "./pool-view.ts";
import { createLiveView, type TaskLines } from "./view.ts";

/** Also when nothing is told, since also that nothing comes any more must be noticed. */
const LOOK_EVERY_MS = 2_000;
const ANSWER_MS = 5_000;

/** Remembers since when somebody has not answered. */
class Neighbour {
  readonly #who: string;
  #since: number | undefined;
  #reason = "";

  constructor(who: string) {
    this.#who = who;
  }

  /** The answer, or undefined when there is none in time. Errors: the signal's reason. */
  async ask<T>(question: Promise<T>, signal: AbortSignal): Promise<{ readonly answer: T } | undefined> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error(`no answer in ${ANSWER_MS / 1_000} s`)), ANSWER_MS);
    try {
      const answer = await Promise.race([question, late.promise]);
      this.#since = undefined;
      return { answer };
    } catch (thrown) {
      signal.throwIfAborted();
      if (thrown instanceof CodedError && thrown.code === "NET-2005") throw thrown;
      this.#since ??= performance.now();
      this.#reason = thrown instanceof Error ? thrown.message : String(thrown);
      return undefined;
    } finally {
      clearTimeout(timer);
    }
  }

  silence(): readonly { readonly who: string; readonly forMs: number; readonly reason: string }[] {
    if (this.#since === undefined) return [];
    return [{ who: this.#who, forMs: performance.now() - this.#since, reason: this.#reason }];
  }
}

const chainLine = (task: ChainTask | undefined): string =>
  task === undefined ? "not initialized" : `${task.status}, ${task.contributors.length} contributed, ${task.revealCounter} revealed`;

/**
 * Shows the tasks until every one is completed and every replicate at its end.
 *
 * Errors: NET-2006 when one of them cannot be completed any more; the signal's reason.
 * @param onLook - told after each look how the tasks stand, in words
 */
export async function watchTasks(
  network: Network,
  taskIds: readonly TaskId[],
  {
    screen,
    signal,
    onLook,
  }: { readonly screen: NodeJS.WriteStream; readonly signal: AbortSignal; readonly onLook: (what: string) => void },
): Promise<ReadonlyMap<TaskId, PoolTask>> {
  const names = new Map(network.workers.map(({ name, handle }) => [handle.address.toLowerCase(), name]));
  const nameOf = (wallet: string): string => names.get(wallet.toLowerCase()) ?? wallet;
  const view = createLiveView(screen, () => new Date());
  const scheduler = new Neighbour("the scheduler");
  const node = new Neighbour("the chain's node");
  const doubts = new Map(taskIds.map((taskId) => [taskId, new Doubt(() => performance.now())]));
  const gone = new Map<string, string>();
  let changed = Promise.withResolvers<void>();
  const wake = () => changed.resolve();
  for (const { handle } of network.workers) {
    void handle.halted.then((error) => {
      gone.set(handle.address.toLowerCase(), `it halted with ${error.code}`);
      wake();
    });
  }
  const unhook = [network.pool.onHead(wake), ...network.workers.map(({ handle }) => handle.onStatus(wake))];
  const ticking = setInterval(wake, LOOK_EVERY_MS);
  const following = new AbortController();
  const stop = () => {
    following.abort(signal.reason);
    wake();
  };
  signal.addEventListener("abort", stop, { once: true });
  const follow = followStatuses(network.schedulerUrl, wake, following.signal);
  follow.catch(wake);

  /** Errors: NET-2006. */
  const judge = (taskId: TaskId, task: PoolTask | undefined, onChain: ChainTask | undefined): void => {
    const workers = network.workers.map(({ handle }): OutlookWorker => {
      const wallet = handle.address.toLowerCase();
      return { wallet: nameOf(wallet), gone: gone.get(wallet) };
    });
    const named =
      task === undefined ? undefined : { ...task, replicates: task.replicates.map((r) => ({ ...r, wallet: nameOf(r.wallet) })) };
    const chain = onChain === undefined ? undefined : { ...onChain, now: network.pool.head().timestamp };
    const silent = [...scheduler.silence(), ...node.silence()];
    const why = doubts.get(taskId)?.look(whyImpossible({ task: named, chain, workers, silent }, { kind: "task", status: "COMPLETED" }));
    if (why !== undefined) throw new CodedError("NET-2006", { task: taskId, reason: why, replicates: describeReplicates(named) });
  };

  try {
    // Bounded: ends with the tasks, with the limit of the demo, or when they cannot be completed any more.
    for (;;) {
      signal.throwIfAborted();
      changed = Promise.withResolvers<void>();
      const pooled = new Map<TaskId, PoolTask>();
      const lines: TaskLines[] = [];
      let isWhole = true;
      for (const taskId of taskIds) {
        const [ofPool, ofChain] = await Promise.all([
          scheduler.ask(readTask(network.schedulerUrl, taskId, following.signal), signal),
          node.ask(network.hub.task(taskId), signal),
        ]);
        const task = ofPool?.answer;
        if (task !== undefined) pooled.set(taskId, task);
        isWhole &&= ofPool !== undefined && ofChain !== undefined;
        const replicates = task?.replicates ?? [];
        lines.push({
          taskId,
          chain: chainLine(ofChain?.answer),
          replicates: replicates.map((r) => ({ worker: nameOf(r.wallet), status: r.status, since: r.changedAt })),
        });
        judge(taskId, task, ofChain?.answer);
      }
      // What somebody did not tell is not drawn as if it were not there.
      if (isWhole) view.show(lines);
      onLook(
        lines.map(({ taskId, chain }) => `${taskId.slice(0, 10)} ${chain}, ${describeReplicates(pooled.get(taskId), nameOf)}`).join("; "),
      );
      const done = [...pooled.values()].filter((t) => t.status === "COMPLETED" && t.replicates.every((r) => isFinal(r.status)));
      if (done.length === taskIds.length) return pooled;
      await changed.promise;
    }
  } finally {
    clearInterval(ticking);
    following.abort();
    for (const remove of unhook) remove();
    signal.removeEventListener("abort", stop);
    view.end();
    await follow.catch(() => undefined);
  }
}
