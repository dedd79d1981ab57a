import { type Clock, CodedError } from "@iexec-ts/service";
import type { WorkerSettings } from "../config.ts";
import { oneLook } from "../one-look.ts";
import type { HostFacts } from "./host-facts.ts";

type MannerSettings = Pick<WorkerSettings, "hours" | "onlyWhenIdle" | "idleAfterMs" | "onBattery" | "maxLoad" | "diskBudgetMib">;

/** What was seen when it was looked at; undefined where it was not looked at, or cannot be told. */
export interface Seen {
  readonly now: Date;
  readonly inputIdleMs: number | undefined;
  readonly onBattery: boolean;
  /** CPUs' worth of work done by others. */
  readonly othersBusy: number | undefined;
  readonly cpus: number;
  readonly usedMib: number | undefined;
}

const PERCENT = 100;
const MINUTE_MS = 60_000;

const span = (ms: number): string => (ms < MINUTE_MS ? `${Math.floor(ms / 1_000)} s` : `${Math.floor(ms / MINUTE_MS)} min`);

/** Why no task should be asked for now, what lasts longest first. Pure. */
export function refusalOf(settings: MannerSettings, seen: Seen): CodedError | undefined {
  const { hours, onlyWhenIdle, idleAfterMs, onBattery, maxLoad, diskBudgetMib } = settings;
  if (!hours.isOpen(seen.now)) {
    const next = hours.nextChange(seen.now);
    return new CodedError("WRK-1531", {
      hours: String(hours),
      next: next === undefined ? "they never begin" : `they begin at ${localTime(next)}`,
    });
  }
  if (seen.onBattery && !onBattery) return new CodedError("WRK-1534");
  if (onlyWhenIdle && seen.inputIdleMs !== undefined && seen.inputIdleMs < idleAfterMs)
    return new CodedError("WRK-1532", { idle: span(seen.inputIdleMs), needed: span(idleAfterMs) });
  const load = seen.othersBusy === undefined ? 0 : Math.round((seen.othersBusy / seen.cpus) * PERCENT);
  if (maxLoad < PERCENT && load > maxLoad) return new CodedError("WRK-1533", { load, ceiling: maxLoad });
  if (diskBudgetMib !== undefined && seen.usedMib !== undefined && seen.usedMib > diskBudgetMib)
    return new CodedError("WRK-1535", { used: Math.ceil(seen.usedMib), budget: diskBudgetMib });
  return undefined;
}

/** As the operator's clock on the wall shows it. */
function localTime(at: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

/** How long a measurement of the disk holds. */
const DISK_MS = 60_000;
/** Making room may take a while; whoever asks meanwhile waits for the same. */
const LOOK_LIMIT_MS = 30_000;

export interface Manners {
  /** Why no task should be asked for now, or undefined. Errors: WRK-1536 when the host does not answer. */
  refusal(): Promise<CodedError | undefined>;
}

/**
 * Looks at the machine before each question for work.
 *
 * @param deps.ownCpus - CPUs that our own tasks use now
 * @param deps.usedMib - measures what we keep on disk, after making room where that is possible
 */
export function watchManners(
  settings: () => MannerSettings,
  host: HostFacts,
  deps: { readonly clock: Clock; readonly ownCpus: () => number; readonly usedMib: (budgetMib: number) => Promise<number> },
): Manners {
  const { clock, ownCpus, usedMib } = deps;
  let measured: { readonly atMs: number; readonly budget: number; readonly mib: number } | undefined;
  const disk = async (budget: number): Promise<number> => {
    const atMs = clock.monotonicMs();
    if (measured === undefined || atMs - measured.atMs > DISK_MS || measured.budget !== budget || measured.mib > budget)
      measured = { atMs, budget, mib: await usedMib(budget) };
    return measured.mib;
  };
  const look = async (): Promise<CodedError | undefined> => {
    const wanted = settings();
    const now = clock.now();
    const [inputIdleMs, onBattery, busy] = await Promise.all([
      wanted.onlyWhenIdle ? host.inputIdleMs(now) : undefined,
      wanted.onBattery ? false : host.onBattery(),
      wanted.maxLoad < PERCENT ? host.busyCpus() : undefined,
    ]);
    return refusalOf(wanted, {
      now,
      inputIdleMs,
      onBattery,
      othersBusy: busy === undefined ? undefined : Math.max(0, busy - ownCpus()),
      cpus: host.cpus,
      usedMib: wanted.diskBudgetMib === undefined ? undefined : await disk(wanted.diskBudgetMib),
    });
  };
  return { refusal: oneLook("what tells who else uses this machine", look, { ms: LOOK_LIMIT_MS, clock }) };
}
