import { z } from "zod";
import type { Standing } from "../standing.ts";
import type { Operation, Refusal } from "./operation.ts";

const moment = z.iso.datetime().transform((text) => new Date(text));
const perhaps = <T extends z.ZodType>(schema: T) => schema.nullable().transform((value) => value ?? undefined);

/** As the worker's page says it. */
export const doingSchema = z.object({
  state: z.enum(["RUNNING", "PAUSED", "DRAINING", "DRAINED", "STOPPED"]),
  since: moment,
  pausedUntil: perhaps(moment),
  refusal: perhaps(z.object({ code: z.string(), message: z.string(), fix: z.string(), since: moment })),
  /** Loops that stand still, and those of the last hour that move again. An older worker does not say. */
  stalls: z
    .array(z.object({ loop: z.string(), of: perhaps(z.string()), since: moment, restarts: z.number(), mendedAt: perhaps(moment) }))
    .default([]),
  /** Tasks that make no progress. */
  stuck: z.array(z.object({ taskId: z.string(), status: z.string(), since: moment, because: z.string() })).default([]),
});

/** What a running worker does about new tasks, and why it asked for none when it last looked. */
export type Doing = z.output<typeof doingSchema>;

export function doingOf({
  operation,
  refusal,
  standing,
}: {
  readonly operation: Operation;
  readonly refusal: Refusal | undefined;
  readonly standing: Standing;
}): Doing {
  return {
    stalls: [...standing.stalls],
    stuck: [...standing.stuck],
    state: operation.state,
    since: operation.since,
    pausedUntil: operation.pause?.until,
    refusal:
      refusal === undefined
        ? undefined
        : { code: refusal.error.code, message: refusal.error.message, fix: refusal.error.fix, since: refusal.since },
  };
}

/** The same as plain data. */
export const doingView = ({ state, since, pausedUntil, refusal, stalls, stuck }: Doing) => ({
  state,
  since: since.toISOString(),
  pausedUntil: pausedUntil?.toISOString() ?? null,
  refusal: refusal === undefined ? null : { ...refusal, since: refusal.since.toISOString() },
  stalls: stalls.map((stall) => ({
    loop: stall.loop,
    of: stall.of ?? null,
    since: stall.since.toISOString(),
    restarts: stall.restarts,
    mendedAt: stall.mendedAt?.toISOString() ?? null,
  })),
  stuck: stuck.map((task) => ({ ...task, since: task.since.toISOString() })),
});
