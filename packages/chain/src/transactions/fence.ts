import type { Pulse } from "@iexec-ts/service";
import type { OutboxStore, RpcPool } from "../api.ts";

/**
 * What keeps a run of the queue that was given up from doing anything more: its store writes nothing and its pool sends nothing once the run's
 * signal has aborted, wherever the run was hanging. Each call that comes back is a sign of life.
 */
export class Fence {
  #pulse: Pulse | undefined;

  /** From now on this run's fate decides. */
  arm(pulse: Pulse): void {
    this.#pulse = pulse;
  }

  get armed(): boolean {
    return this.#pulse !== undefined;
  }

  get signal(): AbortSignal | undefined {
    return this.#pulse?.signal;
  }

  /** Errors: SVC-1503 once the run was given up, and whatever ended the queue. */
  check(): void {
    this.#pulse?.signal.throwIfAborted();
  }

  beat(): void {
    this.#pulse?.beat();
  }

  /** Says that the run moved on, and ends it here if it was given up. Errors: those of `check`. */
  step(): void {
    this.check();
    this.beat();
  }

  /** `call`, unless the run was given up before, or while it took. */
  async through<T>(call: () => Promise<T>): Promise<T> {
    this.check();
    const result = await call();
    this.step();
    return result;
  }
}

export function fencedStore(store: OutboxStore, fence: Fence): OutboxStore {
  return {
    open: (intent, at) => fence.through(() => store.open(intent, at)),
    get: (id) => fence.through(() => store.get(id)),
    pending: () => fence.through(() => store.pending()),
    list: (limit) => fence.through(() => store.list(limit)),
    addAttempt: (id, attempt) => fence.through(() => store.addAttempt(id, attempt)),
    setState: (id, state, change) => fence.through(() => store.setState(id, state, change)),
    reopen: (id, at) => fence.through(() => store.reopen(id, at)),
    highestNonce: () => fence.through(() => store.highestNonce()),
  };
}

export function fencedPool(pool: RpcPool, fence: Fence): RpcPool {
  return {
    get chainId() {
      return pool.chainId;
    },
    get client() {
      return pool.client;
    },
    head: () => pool.head(),
    onHead: (listener) => pool.onHead(listener),
    waitForBlock: (number, signal) => pool.waitForBlock(number, signal),
    waitForTime: (time, signal) => pool.waitForTime(time, signal),
    broadcast: (raw) => fence.through(() => pool.broadcast(raw)),
    endpoints: () => pool.endpoints(),
    close: () => pool.close(),
  };
}
