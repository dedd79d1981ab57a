import type { Address, TaskId } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { z } from "zod";
import { VERSION } from "../version.ts";
import { type Desk, working } from "./desk.ts";
import { doingOf, doingView } from "./doing.ts";
import { revealNow } from "./emergency-reveal.ts";
import type { Action } from "./server.ts";
import { checkWanted, writeSettings } from "./settings-file.ts";
import { stopAction, taskFacts } from "./stopping.ts";
import { abortTask, retryUpload } from "./task-actions.ts";
import { bumpTransaction, cancelTransaction } from "./tx-actions.ts";
import { underWay } from "./under-way.ts";
import type { Facts } from "./wire.ts";

const task = z.object({
  taskId: z.custom<TaskId>((value) => typeof value === "string" && /^0x[0-9a-f]{64}$/.test(value), "not a task id"),
  force: z.boolean().default(false),
});
const transaction = z.object({ id: z.string().min(1).max(256), force: z.boolean().default(false) });
const pause = z.object({ forMs: z.number().positive().nullable().default(null) });

const settings = z.object({ values: z.record(z.string().max(64), z.string().max(16_384).nullable()) });

/** Everything an operator's command can have a running worker do. */
export function controlActions(desk: Desk): Readonly<Record<string, Action>> {
  const { operation, journal, clock, live } = desk;
  const state = (): Facts => ({
    ...doingView(doingOf({ operation, refusal: desk.refusal(), standing: desk.standing() })),
    underWay: underWay(journal).map(taskFacts),
    version: VERSION,
    joined: desk.joined,
  });
  const wake = (taskId: TaskId, action: "PLEASE_UPLOAD" | "PLEASE_WAIT"): void =>
    desk.work?.engine.notify({
      taskId,
      action,
      workers: [] satisfies Address[],
      blockNumber: undefined,
      abortCause: undefined,
      smsUrl: undefined,
      authorization: undefined,
    });

  const actions: Readonly<Record<string, Action>> = {
    state: async () => state(),
    pause: async (input) => {
      const { forMs } = pause.parse(input);
      const before = operation.state;
      operation.pauseUntil(forMs === null ? undefined : new Date(clock.now().getTime() + forMs));
      return { ...state(), before };
    },
    resume: async () => {
      const before = operation.state;
      operation.resume();
      return { ...state(), before };
    },
    stop: stopAction(desk),
    "tx-bump": async (input) => bumpTransaction(working(desk).ports.queue, transaction.parse(input).id),
    "tx-cancel": async (input) => {
      const { ports } = working(desk);
      const { id, force } = transaction.parse(input);
      return cancelTransaction({ ...ports, journal }, id, force);
    },
    "task-abort": async (input) => {
      const { taskId, force } = task.parse(input);
      const { status, loss } = abortTask(journal, taskId, force);
      wake(taskId, "PLEASE_WAIT");
      return { taskId, status, loss: loss ?? null };
    },
    "task-reveal": async (input, _, signal) => {
      const { ports } = working(desk);
      const { taskId } = task.parse(input);
      const { outcome } = await revealNow(taskId, { ...ports, journal }, signal);
      return { taskId, transaction: outcome?.hash ?? null, block: outcome?.receipt.blockNumber.toString() ?? null };
    },
    "task-retry-upload": async (input) => {
      const { taskId } = task.parse(input);
      const status = retryUpload(journal, taskId);
      wake(taskId, "PLEASE_UPLOAD");
      return { taskId, status };
    },
    "config-set": async (input) => {
      const { values } = settings.parse(input);
      if (live.path === undefined) throw new CodedError("WRK-1541", { path: "-", reason: "this worker follows no settings file" });
      checkWanted(values, live.explain, live.path);
      writeSettings(live.path, values);
      return { path: live.path, changes: live.reload().map((change) => ({ ...change })) };
    },
    "config-reload": async () => ({ changes: live.reload().map((change) => ({ ...change })) }),
  };
  return Object.fromEntries(Object.entries(actions).map(([name, run]) => [name, checked(name, run)]));
}

/** What a command of another version sends is told as such. */
const checked =
  (what: string, run: Action): Action =>
  async (input, tell, signal) => {
    try {
      return await run(input, tell, signal);
    } catch (thrown) {
      if (!(thrown instanceof z.ZodError)) throw thrown;
      throw new CodedError("WRK-1518", { what, reason: thrown.issues.map(({ message }) => message).join(", ") });
    }
  };
