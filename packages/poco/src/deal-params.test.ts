import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatDealParams, parseDealParams } from "./deal-params.ts";

const DEFAULTS = {
  args: undefined,
  inputFiles: [],
  encryptResult: false,
  storageProvider: undefined,
  storageProxy: undefined,
  secrets: {},
  bulkCid: "",
};

describe("an object with known keys", () => {
  test("all of them", () => {
    expect(
      parseDealParams(
        JSON.stringify({
          iexec_args: "a b",
          iexec_input_files: ["https://a", "https://a"],
          iexec_result_encryption: true,
          iexec_result_storage_provider: "ipfs",
          iexec_result_storage_proxy: "https://proxy",
          iexec_secrets: { "1": "name" },
          bulk_cid: "Qm",
        }),
      ),
    ).toEqual({
      args: "a b",
      inputFiles: ["https://a", "https://a"],
      encryptResult: true,
      storageProvider: "ipfs",
      storageProxy: "https://proxy",
      secrets: { "1": "name" },
      bulkCid: "Qm",
    });
  });

  test.each([
    ["{}", {}],
    ['{"iexec_args":5}', { args: "5" }],
    ['{"iexec_args":5.0}', { args: "5.0" }],
    ['{"iexec_args":true}', { args: "true" }],
    ['{"iexec_args":null}', {}],
    ['{"iexec_args":""}', { args: "" }],
    ['{"iexec_result_encryption":"true"}', { encryptResult: true }],
    ['{"iexec_result_encryption":1}', { encryptResult: true }],
    ['{"iexec_result_encryption":0}', { encryptResult: false }],
    ['{"iexec_input_files":null,"iexec_secrets":null,"bulk_cid":null}', {}],
    ['{"iexec_input_files":[1,"b"]}', { inputFiles: ["1", "b"] }],
    [' {"iexec_args":"}{\\""} trailing {', { args: '}{"' }],
    ['{"iexec_args":"a","iexec_args":"b"}', { args: "b" }],
    ["null", {}],
  ])("%j", (text, params) => {
    expect(parseDealParams(text)).toEqual({ ...DEFAULTS, ...params });
  });
});

describe("anything else is the arguments", () => {
  test.each([
    "",
    "hello world",
    "42",
    '"text"',
    "[1]",
    "{",
    '{"iexec_args":"a",}',
    '{"iexec_args":"a","iexec_developer_logger":true}',
    '{"__proto__":"a"}',
    '{"toString":"a"}',
    '{"iexec_args":{"a":1}}',
    '{"iexec_args":["a"]}',
    '{"iexec_input_files":"https://a"}',
    '{"iexec_input_files":[null]}',
    '{"iexec_result_encryption":"yes"}',
    '{"iexec_result_encryption":1.5}',
    '{"iexec_secrets":["a"]}',
    '{"iexec_secrets":5}',
    '{"iexec_secrets":"a"}',
    '{"iexec_input_files":5}',
  ])("%j", (text) => {
    expect(parseDealParams(text)).toEqual({ ...DEFAULTS, args: text });
  });
});

test("what we write, we read", () => {
  const text = fc.string({ unit: "binary" });
  const params = fc.record({
    args: fc.option(text, { nil: undefined }),
    inputFiles: fc.array(text, { maxLength: 3 }),
    encryptResult: fc.boolean(),
    storageProvider: fc.option(text, { nil: undefined }),
    storageProxy: fc.option(text, { nil: undefined }),
    secrets: fc.dictionary(fc.stringMatching(/^[1-9][0-9]{0,2}$/), text, { noNullPrototype: true }),
    bulkCid: text,
  });
  fc.assert(
    fc.property(params, (value) => {
      expect(parseDealParams(formatDealParams(value))).toEqual(value);
    }),
  );
});

test("no text makes it throw", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => typeof parseDealParams(text) === "object"));
});
