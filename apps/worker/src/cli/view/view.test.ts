import { describe, expect, test } from "vitest";
import { bytes, parseBytes } from "./bytes.ts";
import { styleFor } from "./style.ts";
import { printable, shorten, table, widthOf } from "./table.ts";
import { relative, span } from "./time.ts";

const COLUMNS = [
  { title: "NAME", value: (row: readonly [string, string]) => row[0], max: 10 },
  { title: "SIZE", value: (row: readonly [string, string]) => row[1], align: "right" as const },
];
const LONG = "0x0123456789abcdef";

describe("table", () => {
  test("aligns and shortens in the middle at a terminal", () => {
    expect(
      table(
        COLUMNS,
        [
          [LONG, "1"],
          ["b", "200"],
        ],
        { plain: false },
      ),
    ).toBe(" NAME        SIZE\n 0x01..cdef     1\n b            200");
  });

  test("a pipe gets everything, separated by tabs, without a header", () => {
    expect(
      table(
        COLUMNS,
        [
          [LONG, "1"],
          ["two\tparts", "2"],
        ],
        { plain: true },
      ),
    ).toBe(`${LONG}\t1\ntwo parts\t2`);
  });

  test("colour takes no room", () => expect(widthOf("\u001b[1mab\u001b[0m")).toBe(2));
  test("short texts stay whole", () => expect(shorten("abc", 5)).toBe("abc"));
  test("a stranger's text cannot steer the terminal", () => expect(printable("a\u001b[2Jb\nc")).toBe("a\ufffd[2Jb\nc"));
});

describe("style", () => {
  test.each([
    [true, {}, true],
    [false, {}, false],
    [true, { NO_COLOR: "1" }, false],
    [true, { NO_COLOR: "" }, true],
    [true, { TERM: "dumb" }, false],
  ] as const)("terminal %s with %j: colour %s", (terminal, env, colour) => expect(styleFor(terminal, env).colour).toBe(colour));
});

describe("time and sizes", () => {
  test("two largest units", () => {
    expect(span(6 * 86_400_000 + 4 * 3_600_000 + 5)).toBe("6d 4h");
    expect(span(86_400_000 + 60_000)).toBe("1d");
    expect(relative(new Date(60_000), new Date(0))).toBe("in 1m");
    expect(relative(new Date(0), new Date(60_000))).toBe("1m ago");
  });

  test("sizes", () => {
    expect(bytes(1_536)).toBe("1.5 KiB");
    expect(parseBytes("20GB", "x")).toBe(20e9);
    expect(() => parseBytes("many", "x")).toThrow(expect.objectContaining({ code: "WRK-2012" }));
  });
});
