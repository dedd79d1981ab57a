import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TaskOrder } from "@iexec-ts/network";
import type { Account, ReplicateStatus, TaskId } from "@iexec-ts/poco";
import { openScope } from "@iexec-ts/service";
import { WorkerProcess } from "../rig/worker-process.ts";
import { type Lab, PAST_EVERYTHING_S } from "./lab.ts";
import { disagreement, type Expected, judge } from "./oracles.ts";

/** For the last report to arrive. */
const TELL_LIMIT_MS = 60_000;

export interface OrdealOptions {
  /** Words of the probe app. */
  readonly args?: string;
  readonly order?: Omit<TaskOrder, "args">;
  readonly env?: Readonly<Record<string, string>>;
  /** Where the first run of the worker is killed. */
  readonly crashAt?: string;
}

/** One worker with a wallet of its own, one task, and whatever happens to them. */
export class Ordeal {
  readonly lab: Lab;
  readonly worker: WorkerProcess;
  readonly taskId: TaskId;
  readonly before: Account;
  readonly fromBlock: bigint;
  readonly signal: AbortSignal;

  constructor(parts: Pick<Ordeal, "lab" | "worker" | "taskId" | "before" | "fromBlock" | "signal">) {
    this.lab = parts.lab;
    this.worker = parts.worker;
    this.taskId = parts.taskId;
    this.before = parts.before;
    this.fromBlock = parts.fromBlock;
    this.signal = parts.signal;
  }

  /** {base dir}/{name}/{task}. */
  get folder(): string {
    return join(this.worker.env.IEXEC_WORKER_BASE_DIR ?? "", this.worker.env.IEXEC_WORKER_NAME ?? "", this.taskId);
  }

  get log(): string {
    return existsSync(this.worker.logPath) ? readFileSync(this.worker.logPath, "utf8") : "";
  }

  get statuses(): readonly ReplicateStatus[] {
    return this.worker.history(this.taskId).map(({ status }) => status);
  }

  get replicate() {
    return this.worker.journal()?.replicates.find((each) => each.taskId === this.taskId);
  }

  /** Resolves when the worker has killed itself at its checkpoint. */
  async killed(): Promise<void> {
    const aborted = new Promise<never>((_, reject) =>
      this.signal.addEventListener("abort", () => reject(new Error(`was never killed; its journal says ${this.statuses.join(" ")}`)), {
        once: true,
      }),
    );
    const code = await Promise.race([this.worker.exited, aborted]);
    if (code !== null) throw new Error(`the worker ended with ${code} instead of being killed: ${this.log.slice(-300)}`);
  }

  /** SIDE EFFECTS: starts the worker again on the same folders. */
  resume(crashAt?: string, extra: Readonly<Record<string, string>> = {}): void {
    this.worker.start({ ...extra, ...(crashAt === undefined ? {} : { IEXEC_TEST_CRASH_AT: crashAt }) });
  }

  until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T> {
    return this.lab.rig.until(what, look, this.signal);
  }

  /** Waits for something the worker does; fails at once when it ends instead. */
  async #work<T>(what: string, look: () => T | undefined): Promise<T> {
    return this.until(what, () => {
      const { running } = this.worker;
      const seen = look();
      if (seen === undefined && !running) throw new Error(`the worker ended before ${what}: ${this.log.slice(-300)}`);
      return seen;
    });
  }

  /** Waits until the journal has recorded `status`, `times` times. */
  async recorded(status: ReplicateStatus, times = 1): Promise<void> {
    await this.#work(`${status} in the journal`, () =>
      this.statuses.filter((each) => each === status).length >= times ? true : undefined,
    );
  }

  /** Waits until nothing is left to do and the scheduler knows it, stops the worker, and asks every oracle. */
  async ends(expected: Expected): Promise<string> {
    await this.#work("the end", () => this.replicate?.closedAt).catch((cause: unknown) => {
      throw new Error(`the task never ended; the journal says ${this.statuses.join(" ")}`, { cause });
    });
    if (expected.told !== false) {
      using limit = openScope([this.signal], { ms: TELL_LIMIT_MS });
      await this.lab.rig
        .until("one history", async () => ((await disagreement(this)) === undefined ? true : undefined), limit.signal)
        .catch(() => undefined);
    }
    const code = await this.worker.stop();
    if (code !== 0) throw new Error(`the worker was stopped and ended with ${code}`);
    return judge(this, expected);
  }
}

/**
 * Starts a worker on an unused wallet, buys a task, and hands both to `play`. When that fails, the task is ended by its deadline, so that
 * it is not given to the next scenario's worker.
 */
export function ordeal(lab: Lab, signal: AbortSignal, options: OrdealOptions, play: (it: Ordeal) => Promise<string>): Promise<string> {
  // One that ran out of time may still be cleaning up.
  return lab.exclusive(() => perform(lab, signal, options, play));
}

async function perform(lab: Lab, signal: AbortSignal, options: OrdealOptions, play: (it: Ordeal) => Promise<string>): Promise<string> {
  signal.throwIfAborted();
  const worker = lab.rig.worker(options.env);
  try {
    const before = await lab.rig.network.hub.account(worker.address);
    const fromBlock = await lab.rig.chain.client.getBlockNumber({ cacheTime: 0 });
    worker.start(options.crashAt === undefined ? {} : { IEXEC_TEST_CRASH_AT: options.crashAt });
    const taskId = await lab.rig.buyOne(`COUNT=1 ${options.args ?? "TEXT=steady"}`, options.order ?? {});
    return await play(new Ordeal({ lab, worker, taskId, before, fromBlock, signal }));
  } catch (thrown) {
    await worker.kill();
    await lab.rpc("evm_setAutomine", true);
    await lab.rig.chain.increaseTime(PAST_EVERYTHING_S);
    await removeLeftovers(lab, worker);
    throw thrown;
  } finally {
    await worker.stop();
  }
}

async function removeLeftovers(lab: Lab, worker: WorkerProcess): Promise<void> {
  const filters = { label: [`iexec.worker=${worker.address}`] };
  for (const { Id } of await lab.docker.listContainers({ all: true, filters })) await lab.docker.getContainer(Id).remove({ force: true });
  for (const { Id } of await lab.docker.listNetworks({ filters })) await lab.docker.getNetwork(Id).remove();
}

/** Another process with, for example, the same wallet; not started. */
export function beside(it: Ordeal, env: Readonly<Record<string, string>>, name: string): WorkerProcess {
  return new WorkerProcess({
    address: it.worker.address,
    env: { ...it.worker.env, ...env },
    logPath: it.worker.logPath.replace(/\.log$/, `-${name}.log`),
  });
}

/** The usual case: killed at each of these checkpoints in turn, started again each time, and then everything must be as if nothing was. */
export function killedAt(
  crashAt: readonly [string, ...string[]],
  options: OrdealOptions & { readonly whileDead?: (it: Ordeal, kill: number) => Promise<void> | void; readonly expected?: Expected } = {},
): (lab: Lab, signal: AbortSignal) => Promise<string> {
  return (lab, signal) =>
    ordeal(lab, signal, { ...options, crashAt: crashAt[0] }, async (it) => {
      for (const [kill] of crashAt.entries()) {
        await it.killed();
        await options.whileDead?.(it, kill + 1);
        it.resume(crashAt[kill + 1]);
      }
      return `killed ${crashAt.length === 1 ? "once" : `${crashAt.length} times`} at ${crashAt[0]}; ${await it.ends(options.expected ?? {})}`;
    });
}
