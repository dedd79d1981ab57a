import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { dealTag, needsGpu, needsTee, STANDARD_TAG, TAG_BITS, type TagName, tagCovers, tagNames, tagOf, teeFrameworkOf } from "./tags.ts";

const tag = (value: number) => `0x${value.toString(16).padStart(64, "0")}` as const;
const names = fc.subarray(["tee", "scone", "gramine", "tdx", "gpu"] satisfies TagName[]);

test("bits", () => {
  expect(TAG_BITS).toEqual({ tee: 0, scone: 1, gramine: 2, tdx: 3, gpu: 8 });
  expect(tagOf(["tee", "tdx"])).toBe(tag(0x9));
  expect(tagOf([])).toBe(STANDARD_TAG);
});

describe("framework", () => {
  test.each([
    [0x0, undefined, false],
    [0x1, undefined, true],
    [0x3, "scone", true],
    [0x5, "gramine", true],
    [0x9, "tdx", true],
    [0x103, "scone", true],
    [0x8, undefined, false],
    [0xb, undefined, true],
  ])("tag %i", (value, framework, tee) => {
    expect(teeFrameworkOf(tag(value))).toBe(framework);
    expect(needsTee(tag(value))).toBe(tee);
  });

  test("a GPU is another bit", () => {
    expect(needsGpu(tag(0x103))).toBe(true);
    expect(needsGpu(tag(0x3))).toBe(false);
  });
});

test("names and tags are the same thing twice", () => {
  fc.assert(
    fc.property(names, (list) => {
      expect(tagNames(tagOf(list))).toEqual(list);
    }),
  );
});

test("a tag covers exactly the subsets of its bits", () => {
  fc.assert(
    fc.property(names, names, (have, want) => {
      expect(tagCovers(tagOf(have), tagOf(want))).toBe(want.every((name) => have.includes(name)));
    }),
  );
});

test("a deal's tag drops the dataset's framework since 6.2.0", () => {
  const [app, dataset, request] = [tag(0x9), tag(0x3), tag(0x100)];
  expect(dealTag(app, dataset, request)).toBe(tag(0x109));
  expect(dealTag(app, dataset, request, "6.1.0")).toBe(tag(0x10b));
});
