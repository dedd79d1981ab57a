import { CodedError, seededRandom } from "@iexec-ts/service";
import { expect, test } from "vitest";
import { createTokens } from "./tokens.ts";

const WALLET = "0x7564105e977516c53be337314c7e53838967bdac";
const at = (seconds: number) => ({ now: () => new Date(seconds * 1_000), monotonicMs: () => 0, sleep: async () => undefined });
const make = (key: string, seconds: number) =>
  createTokens({ key, lifetimeMs: 86_400_000 }, { clock: at(seconds), random: seededRandom(1) });
const code = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (thrown) {
    return thrown instanceof CodedError ? thrown.code : thrown;
  }
};
const token = make("a".repeat(32), 1_000).issue(WALLET);

test("a token names its wallet until it expires, with or without Bearer, at every instance with the key", () => {
  expect(make("a".repeat(32), 1_001).verify(token)).toBe(WALLET);
  expect(make("a".repeat(32), 1_000 + 86_399).verify(`Bearer ${token}`)).toBe(WALLET);
  expect(code(() => make("a".repeat(32), 1_000 + 86_400).verify(token))).toBe("PRX-1002");
});

test("a token has the claims of a JWT", () => {
  const [head = "", body = ""] = token.split(".").map((part) => Buffer.from(part, "base64url").toString());
  expect(JSON.parse(head)).toEqual({ alg: "HS256", typ: "JWT" });
  expect(JSON.parse(body)).toMatchObject({ aud: WALLET, iat: 1_000, exp: 87_400 });
});

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
test.each([
  ["another key", () => make("b".repeat(32), 1_000).issue(WALLET)],
  ["nothing", () => undefined],
  ["text", () => "hello"],
  ["no signature", () => token.slice(0, token.lastIndexOf(".") + 1)],
  ["alg none", () => `${encode({ alg: "none" })}.${token.split(".")[1]}.`],
  ["another body", () => token.replace(/\.[^.]+\./, `.${encode({ aud: "0x0000000000000000000000000000000000000001", exp: 9e9 })}.`)],
  ["a long text", () => "x.".repeat(5_000)],
])("refuses %s", (_name, given) => {
  expect(code(() => make("a".repeat(32), 1_000).verify(given()))).toBe("PRX-1002");
});
