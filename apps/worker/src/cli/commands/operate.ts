import { existsSync } from "node:fs";
import { CodedError } from "@iexec-ts/service";
import { z } from "zod";
import { askWorker } from "../../control/client.ts";
import type { Pause } from "../../control/operation.ts";
import { readPause, writePause } from "../../control/operation.ts";
import { withOwnJournal } from "../../control/own-journal.ts";
import type { Facts } from "../../control/wire.ts";
import { type Context, type Input, switchOption } from "../context.ts";
import { journalPath } from "../facts/journal-facts.ts";
import { EXIT, type Report } from "../report.ts";
import { exact, relative } from "../view/time.ts";
import { ask, durationOption, notReached, type Reached, reach, untilStopped } from "./control.ts";

const stateSchema = z.object({
  state: z.string(),
  before: z.string().optional(),
  pausedUntil: z.string().nullable(),
  underWay: z.array(z.object({ taskId: z.string(), status: z.string() })),
});

/** How it is said to a person and to a program. */
function paused(
  context: Context,
  until: Date | undefined,
  more: { readonly running: boolean; readonly before: string; readonly open: number },
): Report {
  const now = context.clock.now();
  return {
    data: {
      state: more.running ? "PAUSED" : "STOPPED",
      before: more.before,
      pausedUntil: until === undefined ? null : exact(until),
      underWay: more.open,
    },
    text: (style) =>
      [
        `${style.mark("ok")} ${more.before} -> ${style.strong("PAUSED")} ${until === undefined ? "until you resume it" : `until ${exact(until)} (${relative(until, now)})`}, also across restarts`,
        more.running
          ? `   ${more.open} tasks under way go on to their end`
          : "   no worker runs now; when one starts it reveals and uploads, and asks for no task",
      ].join("\n"),
    next: ["iexec-worker resume"],
  };
}

/** Asks for no new task until `resume`, or for a time; durable. Works whether the worker runs or not. Errors: WRK-2012, WRK-1513. */
export async function pause(context: Context, input: Input): Promise<Report> {
  const forMs = durationOption(input, "for", "--for");
  const reached = await reach(context);
  if (reached.running) {
    const said = stateSchema.parse(await ask(context, reached, "pause", { forMs: forMs ?? null }, "pause"));
    const until = said.pausedUntil === null ? undefined : new Date(said.pausedUntil);
    return paused(context, until, { running: true, before: said.before ?? "RUNNING", open: said.underWay.length });
  }
  const now = context.clock.now();
  const until = forMs === undefined ? undefined : new Date(now.getTime() + forMs);
  await withOwnJournal(context, reached.wallet, ({ db }) => writePause(db, { since: now, until }));
  return paused(context, until, { running: false, before: "STOPPED", open: 0 });
}

/** Asks for tasks again. Errors: WRK-1513. */
export async function resume(context: Context): Promise<Report> {
  const reached = await reach(context);
  if (reached.running) {
    const { state, before } = stateSchema.parse(await ask(context, reached, "resume", {}, "resume"));
    const changed = before !== state;
    return {
      data: { state, before: before ?? state },
      text: (style) => `${style.mark("ok")} ${changed ? `${before} -> ${style.strong(state)}` : `nothing to resume: it is ${state}`}`,
      next: ["iexec-worker status"],
    };
  }
  const had = await takeBack(context, reached);
  return {
    data: { state: "STOPPED", before: had === undefined ? "STOPPED" : "PAUSED" },
    text: (style) =>
      had === undefined
        ? `${style.mark("note")} it was not paused; no worker runs now`
        : `${style.mark("ok")} PAUSED -> it asks for tasks when it starts; no worker runs now`,
    next: ["iexec-worker start"],
  };
}

async function takeBack(context: Context, { wallet }: Reached): Promise<Pause | undefined> {
  if (!existsSync(journalPath(context.settings.stateDir, wallet))) return undefined;
  return withOwnJournal(context, wallet, ({ db }) => {
    const had = readPause(db, context.clock.now());
    writePause(db, undefined);
    return had;
  });
}

const toldSchema = z.object({
  state: z.string(),
  timedOut: z.boolean().default(false),
  left: z.array(z.object({ taskId: z.string(), status: z.string(), finalDeadline: z.string() })),
});
type Told = z.output<typeof toldSchema>;

/** Longer than any grace period in use; what then still runs does not obey. */
const END_LIMIT_MS = 180_000;

/**
 * Stops the worker: in an orderly way, or when nothing is under way any more (`--drain`), or with no more time (`--now`).
 *
 * Errors: WRK-1512 no worker runs, WRK-1513 it cannot be reached or does not end. SIDE EFFECTS: the worker ends.
 */
export async function stop(context: Context, input: Input): Promise<Report> {
  const drain = switchOption(input, "drain");
  const now = switchOption(input, "now");
  const timeoutMs = durationOption(input, "timeout", "--timeout");
  if (timeoutMs !== undefined && !drain)
    throw new CodedError("WRK-2012", { what: "--timeout", expected: "--drain with it", got: "no --drain" });
  const reached = await reach(context);
  if (!reached.running) throw new CodedError("WRK-1512", { wallet: reached.wallet, what: "stop" });
  let last: Told = { state: "STOPPED", timedOut: false, left: [] };
  let shown = "";
  const tell = (facts: Facts) => {
    last = toldSchema.parse(facts);
    const line = `${last.state}: ${last.left.map(({ taskId, status }) => `${taskId.slice(0, 10)} ${status}`).join(", ") || "nothing is under way"}`;
    if (line !== shown) context.tell(line);
    shown = line;
  };
  const answer = await askWorker(reached.socket, "stop", { drain, now, timeoutMs: timeoutMs ?? null }, { signal: context.signal, tell });
  if (answer.kind === "nobody") throw notReached(reached, answer.reason);
  if (answer.kind === "done")
    return {
      data: { state: "RUNNING", stopped: false, left: last.left },
      text: (style) => `${style.mark("warn")} the drain was taken back with resume; the worker goes on`,
      exit: EXIT.failed,
      next: ["iexec-worker status"],
    };
  if (!(await untilStopped(context, reached, END_LIMIT_MS))) throw notReached(reached, "it does not end");
  return ended(last, drain);
}

function ended(last: Told, drain: boolean): Report {
  const { left, timedOut } = last;
  const [first] = left;
  return {
    data: { state: "STOPPED", stopped: true, drained: drain && !timedOut, left: left.map((task) => ({ ...task })) },
    text: (style) =>
      [
        `${style.mark("ok")} RUNNING -> ${style.strong("STOPPED")}${drain && !timedOut ? ", nothing was under way any more" : ""}`,
        ...(timedOut ? [`${style.mark("warn")} the time for draining was over (WRK-1515)`] : []),
        ...left.map(
          ({ taskId, status, finalDeadline }) =>
            `   ${taskId.slice(0, 18)}  ${status}  goes on at the next start; over at ${finalDeadline}`,
        ),
        ...(left.some(({ status }) => status === "COMPUTING") ? ["   its app goes on in its container meanwhile"] : []),
      ].join("\n"),
    next: first === undefined ? ["iexec-worker start"] : ["iexec-worker start", `iexec-worker task show ${first.taskId.slice(0, 12)}`],
    ...(timedOut ? { exit: EXIT.temporary } : {}),
  };
}
