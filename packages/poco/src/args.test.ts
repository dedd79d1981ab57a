import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { splitArgs } from "./args.ts";

const argv = (text: string, era?: "v3" | "v9") => splitArgs(text, era).argv;

describe("v9 (compute.md 1.6)", () => {
  test.each([
    [`1st_param 2nd_param '3rd param' "4th param"`, ["1st_param", "2nd_param", "3rd param", "4th param"]],
    ["--x='y z'", ["--x=y z"]],
    [`a"b c"d`, ["ab cd"]],
    ["''", undefined],
    ["a '' b", ["a", "b"]],
    ["a\tb c\nd", ["a\tb", "c\nd"]],
    [String.raw`esc\'x y\'z`, [String.raw`esc\'x`, String.raw`y\'z`]],
    [String.raw`"in \" dq" z`, [String.raw`in \" dq`, "z"]],
    [`{"k":"v w"}`, ["{k:v w}"]],
    [`"it's"`, ["it's"]],
    [" ", undefined],
    ["", undefined],
  ])("%j", (text, words) => {
    expect(splitArgs(text)).toEqual({ argv: words, unbalanced: false });
  });

  test.each(["unbalanced 'x", `"`, String.raw`'\'`])("%j is unbalanced: the image's own command runs", (text) => {
    expect(splitArgs(text)).toEqual({ argv: undefined, unbalanced: true });
  });

  test("a backslash before a space still disarms the next quote", () => {
    expect(argv(String.raw`a\ "b`)).toEqual(["a\\", '"b']);
  });

  test("plain words come back as they are", () => {
    const word = fc.stringMatching(/^[A-Za-z0-9_.=:/$~*-]{1,10}$/);
    fc.assert(
      fc.property(fc.array(word, { minLength: 1, maxLength: 6 }), (words) => {
        expect(argv(words.join("  "))).toEqual(words);
      }),
    );
  });

  test("no text makes it throw, and no word is empty", () => {
    fc.assert(fc.property(fc.string(), (text) => (argv(text) ?? []).every((word) => word !== "")));
  });
});

describe("v3", () => {
  test.each([
    ["", [""]],
    [" ", undefined],
    [" a  'b c' ", ["", "a", "", "'b", "c'"]],
  ])("%j", (text, words) => {
    expect(argv(text, "v3")).toEqual(words);
  });
});

test("no arguments at all", () => {
  expect(splitArgs(undefined)).toEqual({ argv: undefined, unbalanced: false });
});
