import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LOGIN_KEY, movableClock, OTHER_WALLET, WALLET } from "../testing/fake-scheduler.ts";
import { LoginTokens } from "./tokens.ts";

const HOUR = 3_600_000;
const b64 = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

describe("login tokens", () => {
  test("a short key is refused", () => {
    expect(() => new LoginTokens(new Uint8Array(31), movableClock())).toThrow(expect.objectContaining({ code: "WIR-2002" }));
  });

  test("a token names its wallet until one hour has passed, at every process with the key", () => {
    const clock = movableClock();
    const issued = new LoginTokens(LOGIN_KEY, clock).issue(`0x${WALLET.slice(2).toUpperCase()}`);
    const other = new LoginTokens(LOGIN_KEY, clock);
    expect(other.verify(issued)).toBe(WALLET);
    clock.advance(HOUR - 5_000);
    expect(other.verify(issued)).toBe(WALLET);
    clock.advance(5_000);
    expect(other.verify(issued)).toBeUndefined();
    expect(new LoginTokens(new Uint8Array(32).fill(8), movableClock()).verify(issued)).toBeUndefined();
  });

  test("other algorithms are not accepted, whatever they are signed with", () => {
    const clock = movableClock();
    const tokens = new LoginTokens(LOGIN_KEY, clock);
    const [, claims = ""] = tokens.issue(WALLET).split(".");
    for (const alg of ["none", "None", "HS512", "RS256", ""]) {
      const content = `${b64({ alg, typ: "JWT" })}.${claims}`;
      expect(tokens.verify(`${content}.`)).toBeUndefined();
      expect(tokens.verify(`${content}.${createHmac("sha256", LOGIN_KEY).update(content).digest("base64url")}`)).toBeUndefined();
    }
  });

  test("no changed token is accepted", () => {
    const tokens = new LoginTokens(LOGIN_KEY, movableClock());
    const token = tokens.issue(WALLET);
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(..."AZaz09-_."), (at, char) => {
        const changed = token.slice(0, at) + char + token.slice(at + 1);
        const last = token.lastIndexOf(".");
        // The last digit of a base64url signature has bits that stand for nothing.
        fc.pre(changed !== token && at < token.length - 1 && at !== last);
        expect(tokens.verify(changed)).toBeUndefined();
      }),
    );
  });

  test("any text is only a refusal", () => {
    const tokens = new LoginTokens(LOGIN_KEY, movableClock());
    fc.assert(fc.property(fc.string({ maxLength: 2000 }), (text) => tokens.verify(text) === undefined));
  });

  test("a challenge stays open for its window and the next, for its wallet alone", () => {
    const clock = movableClock();
    const tokens = new LoginTokens(LOGIN_KEY, clock);
    const challenge = tokens.challenge(WALLET);
    expect(challenge).toMatch(/^0x[0-9a-f]{64}$/);
    expect(new LoginTokens(LOGIN_KEY, clock).openChallenges(WALLET)).toContain(challenge);
    expect(tokens.openChallenges(OTHER_WALLET)).not.toContain(challenge);
    clock.advance(60_000);
    expect(tokens.openChallenges(WALLET)).toContain(challenge);
    clock.advance(60_000);
    expect(tokens.openChallenges(WALLET)).not.toContain(challenge);
  });
});
