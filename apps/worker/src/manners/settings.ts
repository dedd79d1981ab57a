import { asDurationMs, asSwitch, asWholeNumber, setting } from "@iexec-ts/service";
import { asHours, parseHours } from "./hours.ts";

const ALWAYS = parseHours("always");
if (ALWAYS === undefined) throw new RangeError("always is no longer a word of hours");

/** When and beside whom this worker works. All of them change while it runs. */
export const MANNER_SETTINGS = {
  hours: setting({
    env: ["IEXEC_WORKER_HOURS"],
    flag: "--hours",
    doc: "When to ask for tasks, in local time: always, never, or windows such as `mon-fri 20:00-08:00, sat-sun`.",
    reload: "live",
    schema: asHours().default(ALWAYS),
  }),
  onlyWhenIdle: setting({
    env: ["IEXEC_WORKER_ONLY_WHEN_IDLE"],
    flag: "--only-when-idle",
    doc: "Ask for tasks only while nobody types or moves the mouse at this machine.",
    reload: "live",
    schema: asSwitch().default(false),
  }),
  idleAfterMs: setting({
    env: ["IEXEC_WORKER_IDLE_AFTER"],
    flag: "--idle-after",
    unit: "duration; plain numbers are ms",
    doc: "Time without input after which this machine counts as idle.",
    reload: "live",
    schema: asDurationMs({ minMs: 1_000 }).default(600_000),
  }),
  onBattery: setting({
    env: ["IEXEC_WORKER_ON_BATTERY"],
    flag: "--on-battery",
    doc: "Ask for tasks also while this machine runs on battery.",
    reload: "live",
    schema: asSwitch().default(false),
  }),
  maxLoad: setting({
    env: ["IEXEC_WORKER_MAX_LOAD"],
    flag: "--max-load",
    unit: "percent of all CPUs",
    doc: "How busy other programs may keep this machine before no task is asked for; 100 is no limit.",
    reload: "live",
    schema: asWholeNumber({ min: 1, max: 100 }).default(100),
  }),
  diskBudgetMib: setting({
    env: ["IEXEC_WORKER_DISK_BUDGET_MIB"],
    flag: "--disk-budget-mib",
    unit: "MiB",
    doc: "Most that files of tasks and pulled images may take; images are removed first, then no task is asked for.",
    reload: "live",
    schema: asWholeNumber({ min: 1 }).optional(),
  }),
};
