import { type ChainTaskStatus, HUB_ABI, type TaskId } from "@iexec-ts/poco";
import { parseEventLogs } from "viem";
import type { Rig } from "../rig/rig.ts";
import type { Kind } from "./mix.ts";

export interface SoakTask {
  readonly id: TaskId;
  readonly kind: Kind;
  readonly boughtAtMs: number;
}

/** What the chain says of a task at the end. */
export interface ChainEnd {
  readonly status: ChainTaskStatus | "UNSET";
  readonly contributors: number;
}

/** Until a task is this old, workers may have it still to do; an older one does not keep others from being bought. */
const LATE_MS = 300_000;

/** Follows the contracts' own events: a second reader, which knows nothing of the product's tables. */
export class Ledger {
  readonly tasks: SoakTask[] = [];
  readonly #rig: Rig;
  readonly #over = new Set<TaskId>();
  readonly #reopened: TaskId[] = [];
  readonly #lastContributions = new Map<string, number>();
  #next: bigint;

  private constructor(rig: Rig, next: bigint) {
    this.#rig = rig;
    this.#next = next;
  }

  static async open(rig: Rig): Promise<Ledger> {
    return new Ledger(rig, (await rig.chain.client.getBlockNumber()) + 1n);
  }

  add(ids: readonly TaskId[], kind: Kind): void {
    const boughtAtMs = Date.now();
    this.tasks.push(...ids.map((id) => ({ id, kind, boughtAtMs })));
  }

  /** Tasks that were finalized or claimed. */
  get over(): number {
    return this.#over.size;
  }

  isOver(id: TaskId): boolean {
    return this.#over.has(id);
  }

  /** Tasks that the contracts opened again, each as often as they did: a consensus that nobody revealed. */
  get reopened(): readonly TaskId[] {
    return this.#reopened;
  }

  /** By worker in lower case: when its last contribution was seen, in milliseconds of the clock. A copy. */
  lastContributions(): ReadonlyMap<string, number> {
    return new Map(this.#lastContributions);
  }

  /** Tasks the workers have still to do. Those whose app fails end by their deadline alone, so they do not count. */
  backlog(): number {
    const late = Date.now() - LATE_MS;
    return this.tasks.filter(({ id, kind, boughtAtMs }) => kind !== "exit" && boughtAtMs > late && !this.#over.has(id)).length;
  }

  /** Reads the blocks since the last look. A node that does not answer now, on a busy machine, is asked for them the next time. */
  async follow(): Promise<void> {
    const { client, hub: address } = this.#rig.chain;
    const head = await client.getBlockNumber().catch(() => undefined);
    if (head === undefined || head < this.#next) return;
    const logs = await client.getLogs({ address, fromBlock: this.#next, toBlock: head }).catch(() => undefined);
    if (logs === undefined) return;
    const events = parseEventLogs({ abi: HUB_ABI, logs, eventName: ["TaskFinalize", "TaskClaimed", "TaskReopen", "TaskContribute"] });
    for (const event of events) {
      if (event.eventName === "TaskReopen") this.#reopened.push(event.args.taskid);
      else if (event.eventName === "TaskContribute") this.#lastContributions.set(event.args.worker.toLowerCase(), Date.now());
      else this.#over.add(event.args.taskid);
    }
    this.#next = head + 1n;
  }

  /** Reads one task's state from the contracts. */
  async end(id: TaskId): Promise<ChainEnd> {
    const task = await this.#rig.network.hub.task(id);
    return task === undefined ? { status: "UNSET", contributors: 0 } : { status: task.status, contributors: task.contributors.length };
  }
}
