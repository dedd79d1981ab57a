import { type Backoff, backoff, type Clock, type Random } from "@iexec-ts/service";
import type { Assignment } from "../api.ts";
import { assignmentSchema } from "../messages/tasks.ts";
import { expectSuccess, type HttpAnswer, parseAnswer } from "./http.ts";
import type { Session } from "./session.ts";

export interface DemandDeps {
  readonly session: Session;
  readonly dialect: "native" | "v9";
  readonly clock: Clock;
  readonly random: Random;
  /** Milliseconds between two questions of a v9 worker; read each time, the pool may change it. */
  readonly periodMs: () => number;
}

/** @source the native dialect: a demand is held 25 s at most */
const WAIT_SECONDS = 25;
const NATIVE_TIMEOUT_MS = (WAIT_SECONDS + 15) * 1000;
const V9_TIMEOUT_MS = 60_000;
/** A native scheduler that answers "nothing" at once instead of holding is not asked more often than this. */
const SHORTEST_PERIOD_MS = 1_000;
const LONGEST_PERIOD_MS = 300_000;

/**
 * Asks for a task, never more often than is polite: whoever calls in a loop is paced here, after failures with growing waits.
 *
 * @source wire.md 5.2, 9.1.16
 */
export class Demand {
  readonly #deps: DemandDeps;
  readonly #failures: Backoff;
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(deps: DemandDeps) {
    this.#deps = deps;
    this.#failures = backoff({ baseMs: 1_000, maxMs: 30_000 }, deps.random);
  }

  /** One question; undefined when there is nothing for us. Errors: those of Session.call, WIR-1002, WIR-1003, WIR-1005. */
  async ask(blockNumber: bigint, signal: AbortSignal): Promise<Assignment | undefined> {
    const { clock } = this.#deps;
    // The period is the pool's word, and a word of it must not put us to sleep for good.
    const waitMs = Math.min(this.#notBefore - clock.monotonicMs(), LONGEST_PERIOD_MS);
    if (waitMs > 0) await clock.sleep(waitMs, signal);
    signal.throwIfAborted();
    const began = clock.monotonicMs();
    try {
      const answer = expectSuccess(await this.#send(blockNumber, signal));
      const assignment = answer.status === 204 || answer.text.trim() === "" ? undefined : parseAnswer(assignmentSchema, answer);
      this.#failures.reset();
      this.#notBefore = began + this.#periodMs(assignment !== undefined);
      return assignment;
    } catch (thrown) {
      if (!signal.aborted) this.#notBefore = clock.monotonicMs() + this.#failures.nextMs();
      throw thrown;
    }
  }

  #periodMs(found: boolean): number {
    if (this.#deps.dialect === "v9") return this.#deps.periodMs();
    return found ? 0 : SHORTEST_PERIOD_MS;
  }

  #send(blockNumber: bigint, signal: AbortSignal): Promise<HttpAnswer> {
    const query = { blockNumber: blockNumber.toString() };
    if (this.#deps.dialect === "v9") {
      return this.#deps.session.call({ path: "/replicates/available", query, timeoutMs: V9_TIMEOUT_MS, signal });
    }
    const held = { ...query, wait: String(WAIT_SECONDS) };
    return this.#deps.session.call({ path: "/v1/replicates/demand", query: held, timeoutMs: NATIVE_TIMEOUT_MS, signal });
  }
}
