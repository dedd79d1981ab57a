import { z } from "zod";
import type { Operation, Refusal } from "./operation.ts";

const moment = z.iso.datetime().transform((text) => new Date(text));
const perhaps = <T extends z.ZodType>(schema: T) => schema.nullable().transform((value) => value ?? undefined);

/** As the worker's page says it. */
export const doingSchema = z.object({
  state: z.enum(["RUNNING", "PAUSED", "DRAINING", "DRAINED", "STOPPED"]),
  since: moment,
  pausedUntil: perhaps(moment),
  refusal: perhaps(z.object({ code: z.string(), message: z.string(), fix: z.string(), since: moment })),
});

/** What a running worker does about new tasks, and why it asked for none when it last looked. */
export type Doing = z.output<typeof doingSchema>;

export function doingOf({ operation, refusal }: { readonly operation: Operation; readonly refusal: Refusal | undefined }): Doing {
  return {
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
export const doingView = ({ state, since, pausedUntil, refusal }: Doing) => ({
  state,
  since: since.toISOString(),
  pausedUntil: pausedUntil?.toISOString() ?? null,
  refusal: refusal === undefined ? null : { ...refusal, since: refusal.since.toISOString() },
});
