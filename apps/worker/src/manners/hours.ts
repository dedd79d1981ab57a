import { z } from "zod";

/** Sunday first, as `Date` counts. */
const DAYS: readonly string[] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MINUTES_OF_DAY = 24 * 60;
const MAX_WINDOWS = 32;
/** Everything repeats after a week; one day more for the clock that is set twice a year. */
const HORIZON_DAYS = 8;

/** One window: it belongs to the days on which it begins, and may last into the next. Minutes since midnight, local time. */
interface Window {
  readonly days: ReadonlySet<number>;
  readonly from: number;
  /** At most `from` when it lasts into the next day. */
  readonly to: number;
}

/** When a worker asks for tasks, in local time. */
export class Hours {
  readonly #text: string;
  readonly #windows: readonly Window[];

  constructor(text: string, windows: readonly Window[]) {
    this.#text = text;
    this.#windows = windows;
  }

  /** As it was written. */
  toString(): string {
    return this.#text;
  }

  isOpen(at: Date): boolean {
    const minute = at.getHours() * 60 + at.getMinutes();
    const day = at.getDay();
    const before = (day + 6) % 7;
    return this.#windows.some(({ days, from, to }) =>
      to > from ? days.has(day) && minute >= from && minute < to : (days.has(day) && minute >= from) || (days.has(before) && minute < to),
    );
  }

  /** The first minute after `at` at which it opens or closes; undefined when it never does. */
  nextChange(at: Date): Date | undefined {
    const open = this.isOpen(at);
    const edges = new Set(this.#windows.flatMap(({ from, to }) => [0, from, to % MINUTES_OF_DAY]));
    const moments: number[] = [];
    for (let day = 0; day <= HORIZON_DAYS; day += 1) {
      for (const edge of edges) moments.push(new Date(at.getFullYear(), at.getMonth(), at.getDate() + day, 0, edge).getTime());
    }
    moments.sort((one, other) => one - other);
    const found = moments.find((moment) => moment > at.getTime() && this.isOpen(new Date(moment)) !== open);
    return found === undefined ? undefined : new Date(found);
  }
}

const ALL_DAYS: ReadonlySet<number> = new Set(DAYS.keys());
const EXPECTED = "expected always, never, or windows such as `mon-fri 20:00-08:00, sat-sun`";

/**
 * Reads hours as an operator writes them: `always`, `never`, or windows separated by commas, each with days (`mon`, `mon-fri`), a time
 * (`20:00-08:00`, also over midnight), or both. Undefined when it is something else.
 */
export function parseHours(text: string): Hours | undefined {
  const clean = text.trim().toLowerCase().replace(/\s+/g, " ");
  if (clean === "always") return new Hours(clean, [{ days: ALL_DAYS, from: 0, to: MINUTES_OF_DAY }]);
  if (clean === "never") return new Hours(clean, []);
  const parts = clean.split(",").map((part) => part.trim());
  if (parts.length > MAX_WINDOWS) return undefined;
  const windows: Window[] = [];
  for (const part of parts) {
    const window = parseWindow(part);
    if (window === undefined) return undefined;
    windows.push(window);
  }
  return new Hours(parts.join(", "), windows);
}

function parseWindow(text: string): Window | undefined {
  const found = /^(?:([a-z]{3})(?:-([a-z]{3}))?)?(?:(?:^| )(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2}))?$/.exec(text);
  if (found === null || text === "") return undefined;
  const [, firstDay, lastDay = firstDay, ...times] = found;
  const days = firstDay === undefined ? ALL_DAYS : daysBetween(firstDay, lastDay ?? firstDay);
  if (days === undefined) return undefined;
  if (times.every((time) => time === undefined)) return { days, from: 0, to: MINUTES_OF_DAY };
  const [fromHour = 0, fromMinute = 0, toHour = 0, toMinute = 0] = times.map(Number);
  if (fromMinute > 59 || toMinute > 59) return undefined;
  const from = fromHour * 60 + fromMinute;
  const to = toHour * 60 + toMinute;
  // A window that ends where it begins could mean all or nothing.
  return from >= MINUTES_OF_DAY || to > MINUTES_OF_DAY || from === to ? undefined : { days, from, to };
}

function daysBetween(first: string, last: string): ReadonlySet<number> | undefined {
  const from = DAYS.indexOf(first);
  const to = DAYS.indexOf(last);
  if (from < 0 || to < 0) return undefined;
  const days = new Set([from]);
  for (let day = from; day !== to; ) {
    day = (day + 1) % DAYS.length;
    days.add(day);
  }
  return days;
}

/** Hours as a setting. */
export const asHours = (): z.ZodType<Hours, string> =>
  z
    .string()
    .max(1_024)
    .transform((text, context) => {
      const hours = parseHours(text);
      if (hours !== undefined) return hours;
      context.addIssue({ code: "custom", message: EXPECTED });
      return z.NEVER;
    });
