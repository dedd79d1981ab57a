import { isFinal, type ReplicateStatus, type TaskId } from "@iexec-ts/poco";
import { backoff, type Clock, CodedError, type Logger, orAborted, type Random } from "@iexec-ts/service";
import type { ReportAnswer, StatusReport, TaskAction } from "../api.ts";
import { toV9 } from "../dialects/to-v9.ts";
import { nativeAnswerSchema, writeNativeReport, writeV9Update } from "../messages/status.ts";
import { taskActionSchema } from "../messages/tasks.ts";
import { expectSuccess, parseAnswer } from "./http.ts";
import type { Session } from "./session.ts";

export interface DeliveryDeps {
  readonly session: Session;
  readonly dialect: "native" | "v9";
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger | undefined;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 60_000;
/** Last statuses remembered; one entry per running task is plenty. */
const MAX_REMEMBERED = 10_000;

/**
 * Brings status reports to the scheduler, those of one task in the order given. Retryable failures are tried again with growing waits
 * for as long as the caller's signal lets it; nothing is ever repeated without a wait.
 */
export class ReportDelivery {
  readonly #deps: DeliveryDeps;
  readonly #tails = new Map<TaskId, Promise<unknown>>();
  readonly #previous = new Map<TaskId, ReplicateStatus>();

  constructor(deps: DeliveryDeps) {
    this.#deps = deps;
  }

  /** Errors: those of Session.call whose retry class is not `retry`, WIR-1003, WIR-1005; the signal's reason. */
  async deliver(report: StatusReport, signal: AbortSignal): Promise<ReportAnswer> {
    const before = this.#tails.get(report.taskId) ?? Promise.resolve();
    // Who gives up waiting for its turn does so at once; the order of those that are left stays.
    const mine = orAborted(before, signal).then(() => this.#deliver(report, signal));
    const tail = Promise.allSettled([before, mine]);
    this.#tails.set(report.taskId, tail);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(report.taskId) === tail) this.#tails.delete(report.taskId);
    }
  }

  async #deliver(report: StatusReport, signal: AbortSignal): Promise<ReportAnswer> {
    const answer = this.#deps.dialect === "native" ? await this.#native(report, signal) : await this.#v9(report, signal);
    this.#previous.delete(report.taskId);
    if (!isFinal(report.status)) this.#previous.set(report.taskId, report.status);
    const oldest = this.#previous.keys().next();
    if (this.#previous.size > MAX_REMEMBERED && !oldest.done) this.#previous.delete(oldest.value);
    return answer;
  }

  #native(report: StatusReport, signal: AbortSignal): Promise<ReportAnswer> {
    const path = `/v1/replicates/${report.taskId}/statuses`;
    return this.#untilTaken(async () => {
      const answer = await this.#deps.session.call({ method: "POST", path, body: writeNativeReport(report), signal });
      return parseAnswer(nativeAnswerSchema, expectSuccess(answer));
    }, signal);
  }

  async #v9(report: StatusReport, signal: AbortSignal): Promise<ReportAnswer> {
    let answer: ReportAnswer = { kind: "stored", action: undefined };
    for (const { status, cause, refusalExpected, carriesDetails } of toV9(report, this.#previous.get(report.taskId))) {
      // A cause that v9 has no word for still travels, as text.
      const errorMessage = report.details?.errorMessage ?? (report.cause === cause ? undefined : report.cause);
      const details = carriesDetails ? { ...report.details, ...(errorMessage === undefined ? {} : { errorMessage }) } : {};
      const body = writeV9Update(status, cause, details);
      answer = await this.#untilTaken(() => this.#post(report.taskId, body, signal), signal);
      if (answer.kind === "refused" && !refusalExpected) return answer;
    }
    return answer;
  }

  /** 202 and 208 are deliveries too; an empty 200 says nothing. @source wire.md 1.2 row 10, 9.1.6 */
  async #post(taskId: TaskId, body: unknown, signal: AbortSignal): Promise<ReportAnswer> {
    const path = `/replicates/${taskId}/updateStatus`;
    const answer = expectSuccess(await this.#deps.session.call({ method: "POST", path, body, signal }));
    const action: TaskAction | undefined = answer.text.trim() === "" ? undefined : parseAnswer(taskActionSchema, answer);
    return { kind: answer.status === 202 ? "refused" : answer.status === 208 ? "duplicate" : "stored", action };
  }

  async #untilTaken<T>(attempt: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const { clock, random, logger } = this.#deps;
    const waits = backoff({ baseMs: FIRST_WAIT_MS, maxMs: LONGEST_WAIT_MS }, random);
    // Bounded: the caller's signal ends it, and each attempt has a deadline.
    for (;;) {
      signal.throwIfAborted();
      try {
        return await attempt();
      } catch (thrown) {
        if (signal.aborted) throw signal.reason;
        const error = CodedError.from(thrown);
        if (error.retry !== "retry") throw error;
        const waitMs = waits.nextMs();
        logger?.debug("status not delivered yet", { error, attempts: waits.attempts, waitMs });
        await clock.sleep(waitMs, signal);
      }
    }
  }
}
