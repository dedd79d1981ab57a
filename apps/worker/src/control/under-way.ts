import { isFinal, type ReplicateStatus } from "@iexec-ts/poco";
import type { Journal } from "../replicate/journal.ts";
import type { Replicate } from "../replicate/replicate.ts";

/** From these on everything we owe is done: others bring the task to its end. */
const NOTHING_OWED: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>(["RESULT_UPLOADED"]);

/** Tasks that still need this worker. */
export const underWay = (journal: Journal): readonly Replicate[] =>
  journal.unfinished().filter(({ status, progress }) => !isFinal(status) && !NOTHING_OWED.has(progress));

/**
 * Resolves when no task needs this worker any more, at once when none does.
 *
 * @param onClosed - calls back when a task is closed, which the journal itself does not tell
 * @param tell - called with what is left, each time that it changes
 */
export async function nothingUnderWay(
  journal: Journal,
  onClosed: (listener: () => void) => () => void,
  tell: (left: readonly Replicate[]) => void,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const unhook: (() => void)[] = [];
    const finish = (end: () => void) => {
      for (const remove of unhook) remove();
      signal.removeEventListener("abort", abort);
      end();
    };
    const abort = () => finish(() => reject(signal.reason));
    const look = () => {
      const left = underWay(journal);
      tell(left);
      if (left.length === 0) finish(resolve);
    };
    signal.addEventListener("abort", abort, { once: true });
    unhook.push(journal.onChange(look), onClosed(look));
    look();
  });
}
