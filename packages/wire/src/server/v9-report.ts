import type { Address, ReplicateStatus, TaskId } from "@iexec-ts/poco";
import { backoff, type Clock, CodedError, type Random } from "@iexec-ts/service";
import type { ReportAnswer, SchedulerPort, StatusReport, TaskAction } from "../api.ts";
import { fromV9, v9NextAction } from "../dialects/from-v9.ts";
import type { ReadV9Update } from "../messages/status.ts";

export interface V9Answer {
  readonly httpStatus: 200 | 202 | 208;
  readonly action: TaskAction;
}

/** A Java worker waits 60 s for an answer, and repeats a failed post without any pause: so failures are held, not answered. */
const HOLD_MS = 45_000;

export interface V9ReportDeps {
  readonly port: SchedulerPort;
  readonly clock: Clock;
  readonly random: Random;
  readonly signal: AbortSignal;
}

/**
 * Gives a v9 update to the scheduler in guide words and says what the v9 worker is to be told.
 * While the port fails with a retryable error the request is held and tried again, up to 45 s; then that error is thrown.
 *
 * One v9 update may stand for several guide statuses (recorded in order; the last one's answer counts) or for none.
 *
 * @source wire.md 3.4, 3.5, 4.3, 9.1.4, 9.1.6
 */
export async function reportFromV9(wallet: Address, taskId: TaskId, update: ReadV9Update, deps: V9ReportDeps): Promise<V9Answer> {
  const statuses = fromV9(update.status, update.cause);
  let answer: ReportAnswer = { kind: "stored", action: undefined };
  for (const [index, status] of statuses.entries()) {
    const last = index === statuses.length - 1;
    answer = await holding(() => deps.port.report(wallet, reportOf(taskId, status, update, last, deps.clock)), deps);
  }
  return answerFor(update, answer);
}

const reportOf = (taskId: TaskId, status: ReplicateStatus, update: ReadV9Update, last: boolean, clock: Clock): StatusReport => ({
  taskId,
  seq: 0,
  status,
  at: clock.now(),
  ...(update.cause === undefined ? {} : { cause: update.cause }),
  details: last ? update.details : update.details.chainReceipt === undefined ? {} : { chainReceipt: update.details.chainReceipt },
});

function answerFor({ status, cause }: ReadV9Update, { kind, action }: ReportAnswer): V9Answer {
  // An aborted worker told to abort would abort again, for ever.
  if (status === "ABORTED") return { httpStatus: kind === "stored" ? 200 : kind === "duplicate" ? 208 : 202, action: "PLEASE_WAIT" };
  if (kind === "refused") return { httpStatus: 202, action: action ?? "PLEASE_ABORT" };
  const next = v9NextAction(status, cause);
  // STARTING and STARTED are both RUNNING: the second is no duplicate to the worker, and each has its own answer.
  if (status === "STARTING") return { httpStatus: 200, action: action === "PLEASE_ABORT" ? action : next };
  if (status === "STARTED") return { httpStatus: 200, action: action === undefined || action === "PLEASE_CONTINUE" ? next : action };
  if (kind === "duplicate") return { httpStatus: 208, action: action ?? "PLEASE_WAIT" };
  return { httpStatus: 200, action: action ?? next };
}

async function holding<T>(attempt: () => Promise<T>, { clock, random, signal }: V9ReportDeps): Promise<T> {
  const until = clock.monotonicMs() + HOLD_MS;
  const waits = backoff({ baseMs: 250, maxMs: 5_000 }, random);
  // Bounded: the request's signal ends it.
  for (;;) {
    try {
      return await attempt();
    } catch (thrown) {
      const failure = CodedError.from(thrown);
      const waitMs = waits.nextMs();
      const mayRepeat = failure.retry === "retry" || failure.retry === "environment";
      if (!mayRepeat || clock.monotonicMs() + waitMs > until) throw failure;
      await clock.sleep(waitMs, signal);
    }
  }
}
