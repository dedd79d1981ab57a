import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatComputedFile, MAX_COMPUTED_JSON_LENGTH, outputSegments, parseComputedFile, standardComputedFile } from "./computed-json.ts";

const EMPTY = {
  deterministicOutputPath: undefined,
  callbackData: undefined,
  taskId: undefined,
  resultDigest: undefined,
  enclaveSignature: undefined,
  errorMessage: undefined,
};

describe("computed.json", () => {
  test.each([
    ['{"deterministic-output-path":"/iexec_out/result.txt"}', { deterministicOutputPath: "/iexec_out/result.txt" }],
    ['{"callback-data":"0x01","unknown":{"a":[1]}}', { callbackData: "0x01" }],
    ['{"callback-data":12,"task-id":null}', { callbackData: "12" }],
    ["{}", {}],
  ])("%s", (text, file) => {
    expect(parseComputedFile(text)).toEqual({ ok: true, file: { ...EMPTY, ...file } });
  });

  test.each([
    ["", "NOT_AN_OBJECT"],
    ["[]", "NOT_AN_OBJECT"],
    ["{", "NOT_AN_OBJECT"],
    ['{"callback-data":{}}', "WRONG_TYPE"],
    [`{}${" ".repeat(MAX_COMPUTED_JSON_LENGTH)}`, "TOO_LONG"],
  ])("%.30s: %s", (text, reason) => {
    expect(parseComputedFile(text)).toEqual({ ok: false, reason });
  });

  test("a standard app cannot choose its own digest", () => {
    const file = { ...EMPTY, callbackData: "0x", taskId: "a", resultDigest: "b", enclaveSignature: "c", errorMessage: "d" };
    expect(standardComputedFile(file)).toEqual({ ...EMPTY, callbackData: "0x", errorMessage: "d" });
  });

  test("what we write, we read", () => {
    const text = fc.option(fc.string({ unit: "binary" }), { nil: undefined });
    const file = fc.record({
      deterministicOutputPath: text,
      callbackData: text,
      taskId: text,
      resultDigest: text,
      enclaveSignature: text,
      errorMessage: text,
    });
    fc.assert(
      fc.property(file, (value) => {
        expect(parseComputedFile(formatComputedFile(value))).toEqual({ ok: true, file: value });
      }),
    );
  });
});

describe("deterministic output path", () => {
  test.each([
    ["/iexec_out", []],
    ["/iexec_out/", []],
    ["/iexec_out/result.txt", ["result.txt"]],
    ["/iexec_out//a/./b", ["a", "b"]],
    ["/iexec_out/..a", ["..a"]],
  ])("%s", (path, segments) => {
    expect(outputSegments(path)).toEqual(segments);
  });

  test.each([
    "",
    "/",
    "iexec_out/x",
    "/iexec_output",
    "/iexec_out/../x",
    "/iexec_out/a/..",
    "/etc/passwd",
    "/iexec_out/a\0b",
    "/iexec_in/x",
  ])("%j leaves the folder", (path) => {
    expect(outputSegments(path)).toBeUndefined();
  });

  test("no segment ever leads up", () => {
    const piece = fc.constantFrom("..", ".", "", "a", "iexec_out", "…");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        const segments = outputSegments(`/iexec_out/${pieces.join("/")}`);
        expect(segments === undefined).toBe(pieces.includes(".."));
        expect(segments?.some((segment) => segment === "" || segment === "." || segment.includes("/")) ?? false).toBe(false);
      }),
    );
  });
});
