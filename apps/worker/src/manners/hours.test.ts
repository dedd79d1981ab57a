import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Hours, parseHours } from "./hours.ts";

const hours = (text: string): Hours => {
  const parsed = parseHours(text);
  if (parsed === undefined) throw new Error(`not hours: ${text}`);
  return parsed;
};
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const two = (n: number) => String(n).padStart(2, "0");
/** 2026-11-22 is a Sunday. */
const local = (day: number, hour: number, minute = 0) => new Date(2026, 10, 22 + day, hour, minute);

const moment = fc.date({ min: new Date(2024, 0, 1), max: new Date(2028, 0, 1), noInvalidDate: true });
const window = fc
  .record({
    days: fc.option(fc.tuple(fc.nat(6), fc.option(fc.nat(6)))),
    time: fc.option(fc.tuple(fc.nat(23), fc.nat(59), fc.nat(23), fc.nat(59)).filter(([a, b, c, d]) => a * 60 + b !== c * 60 + d)),
  })
  .filter(({ days, time }) => days !== null || time !== null)
  .map(({ days, time }) => {
    const dayText = days === null ? "" : `${DAYS[days[0]]}${days[1] === null ? "" : `-${DAYS[days[1]]}`}`;
    const timeText = time === null ? "" : `${two(time[0])}:${two(time[1])}-${two(time[2])}:${two(time[3])}`;
    return { text: [dayText, timeText].filter((part) => part !== "").join(" "), days, time };
  });
type WindowSpec = typeof window extends fc.Arbitrary<infer T> ? T : never;

/** The rule in its slowest form: the minutes of one week, written down one by one. */
function week(specs: readonly WindowSpec[]): readonly boolean[] {
  const open = Array.from({ length: 7 * 1_440 }, () => false);
  for (const { days, time } of specs) {
    const [first, last] = days === null ? [0, 6] : [days[0], days[1] ?? days[0]];
    const count = ((last - first + 7) % 7) + 1;
    for (let n = 0; n < count; n += 1) {
      const start = ((first + n) % 7) * 1_440;
      const from = time === null ? 0 : time[0] * 60 + time[1];
      const to = time === null ? 1_440 : time[2] * 60 + time[3];
      const length = to > from ? to - from : to + 1_440 - from;
      for (let minute = 0; minute < length; minute += 1) open[(start + from + minute) % open.length] = true;
    }
  }
  return open;
}

describe("hours", () => {
  test("nights and weekends", () => {
    const nights = hours("mon-fri 20:00-08:00, sat-sun");
    expect(nights.isOpen(local(1, 7))).toBe(false);
    expect(nights.isOpen(local(1, 20))).toBe(true);
    expect(nights.isOpen(local(2, 7, 59))).toBe(true);
    expect(nights.isOpen(local(2, 8))).toBe(false);
    expect(nights.isOpen(local(6, 12))).toBe(true);
    expect(nights.nextChange(local(2, 8))).toEqual(local(2, 20));
    expect(nights.nextChange(local(6, 12))).toEqual(local(8, 0));
    expect(String(nights)).toBe("mon-fri 20:00-08:00, sat-sun");
  });

  test("always and never do not change", () => {
    fc.assert(
      fc.property(moment, (at) => {
        expect(hours("always").isOpen(at)).toBe(true);
        expect(hours("never").isOpen(at)).toBe(false);
        expect(hours("always").nextChange(at)).toBeUndefined();
        expect(hours("never").nextChange(at)).toBeUndefined();
      }),
    );
  });

  test("what is open is what is written", () => {
    fc.assert(
      fc.property(fc.array(window, { minLength: 1, maxLength: 4 }), moment, (specs, at) => {
        const parsed = hours(specs.map(({ text }) => text).join(", "));
        expect(parsed.isOpen(at)).toBe(week(specs)[at.getDay() * 1_440 + at.getHours() * 60 + at.getMinutes()]);
      }),
    );
  });

  test("nothing changes before the next change, and then it does", () => {
    fc.assert(
      fc.property(
        fc.array(window, { minLength: 1, maxLength: 3 }),
        moment,
        fc.double({ min: 0, max: 0.999, noNaN: true }),
        (specs, at, part) => {
          const parsed = hours(specs.map(({ text }) => text).join(", "));
          const next = parsed.nextChange(at);
          const open = parsed.isOpen(at);
          if (next === undefined) return;
          expect(next.getTime()).toBeGreaterThan(at.getTime());
          expect(parsed.isOpen(next)).toBe(!open);
          expect(parsed.isOpen(new Date(at.getTime() + part * (next.getTime() - at.getTime())))).toBe(open);
        },
      ),
    );
  });

  test.each(["", "mon-", "monday", "24:00-25:00", "08:00-08:00", "20:00", "mon 20:0-21:00", "20:60-21:00", "mon-fri,", "x".repeat(2_000)])(
    "refuses %j",
    (text) => {
      expect(parseHours(text)).toBeUndefined();
    },
  );

  test("refuses or accepts anything, and never throws", () => {
    fc.assert(fc.property(fc.string(), (text) => void parseHours(text)));
  });
});
