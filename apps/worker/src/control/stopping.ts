import { CodedError } from "@iexec-ts/service";
import { z } from "zod";
import type { Replicate } from "../replicate/replicate.ts";
import type { Desk } from "./desk.ts";
import type { Action } from "./server.ts";
import { nothingUnderWay, underWay } from "./under-way.ts";
import type { Facts } from "./wire.ts";

const stopInput = z.object({
  drain: z.boolean().default(false),
  now: z.boolean().default(false),
  /** Only with `drain`: how long to wait before stopping anyway. */
  timeoutMs: z.number().positive().nullable().default(null),
});

export const taskFacts = ({ taskId, status, finalDeadline }: Replicate): Facts => ({
  taskId,
  status,
  finalDeadline: new Date(Number(finalDeadline) * 1_000).toISOString(),
});

/**
 * Stops this worker: at once, or when nothing is under way any more. The connection ends with the process; what was told last is how it ended.
 * A command that goes away does not end a drain; `resume` does.
 */
export const stopAction =
  (desk: Desk): Action =>
  async (input, tell) => {
    const { drain, now, timeoutMs } = stopInput.parse(input);
    const left = (state: string): Facts => ({ state, left: underWay(desk.journal).map(taskFacts) });
    if (drain && !now) {
      const ended = await drained(desk, timeoutMs, (open) => void tell({ state: "DRAINING", left: open.map(taskFacts) }));
      if (ended === "resumed") return { state: desk.operation.state, stopped: false };
      if (ended === "drained") desk.operation.end("DRAINED");
      await tell({ ...left(ended === "drained" ? "DRAINED" : "STOPPED"), timedOut: ended === "late" });
    } else {
      desk.operation.end("STOPPED");
      await tell(left("STOPPED"));
    }
    desk.stop(now ? "now" : "orderly");
    // Held until the process ends: whoever waits for the end sees the connection end.
    return new Promise<Facts>(() => undefined);
  };

async function drained(
  desk: Desk,
  timeoutMs: number | null,
  tell: (left: readonly Replicate[]) => void,
): Promise<"drained" | "late" | "resumed"> {
  const { operation, journal, work } = desk;
  const end = new AbortController();
  const resumed = new CodedError("WRK-1511");
  operation.end("DRAINING");
  const unhook = operation.onChange(() =>
    operation.state === "DRAINING" || operation.state === "DRAINED" ? undefined : end.abort(resumed),
  );
  const late = new CodedError("WRK-1515", { open: 0, timeout: `${timeoutMs ?? 0} ms` });
  const timer =
    timeoutMs === null
      ? undefined
      : desk.clock.sleep(timeoutMs, end.signal).then(
          () => end.abort(late),
          () => undefined,
        );
  try {
    await nothingUnderWay(journal, (listener) => work?.engine.onClosed(listener) ?? (() => undefined), tell, end.signal);
    return "drained";
  } catch (thrown) {
    if (thrown === late) return "late";
    if (thrown === resumed) return "resumed";
    throw thrown;
  } finally {
    unhook();
    end.abort(new CodedError("WRK-1313"));
    await timer;
  }
}
