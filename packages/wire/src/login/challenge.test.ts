import fc from "fast-check";
import { recoverAddress } from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { describe, expect, test } from "vitest";
import { ACCOUNT, OTHER_WALLET, WALLET } from "../testing/fake-scheduler.ts";
import { challengeBytes, challengeDigest, isChallengeSignedBy } from "./challenge.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const CHALLENGE = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/abcdE=";
const SIGNATURE =
  "0xe8eb403d179a5ffaea2fc0a437d8adfdf17ad5241c93ede575ae56f099a76c443c1410edf51fd9839da16598b69d513ca93c91fadcde77e29fa7c5cb3181be801c";

describe("login challenge (vectors of wire.md 1.3)", () => {
  test.each([
    [CHALLENGE, "abcdefefefefefefefefefefef0123456789efabcddf"],
    ["q83vEjRWeJA=", "f82fdfefdf9f"],
    ["0xZZ1234", "ef1234"],
    ["abc", "0abc"],
    ["", ""],
  ])("%s is read as %s", (challenge, bytes) => {
    expect(hex(challengeBytes(challenge))).toBe(bytes);
  });

  test("digest and signature are Java's", async () => {
    expect(challengeDigest(CHALLENGE)).toBe("0x402cf3a7fee508ea598c44885a7b4f9a0e85f1cd9573226ebbbf8748e545d2fe");
    expect(await ACCOUNT.sign({ hash: challengeDigest(CHALLENGE) })).toBe(SIGNATURE);
    expect(ACCOUNT.address.toLowerCase()).toBe(WALLET);
  });

  test("any text is read, two characters a byte", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        const length = text.startsWith("0x") ? text.length - 2 : text.length;
        expect(challengeBytes(text).length).toBe(Math.ceil(length / 2));
      }),
    );
  });

  test("a hex challenge is its own bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), (bytes) => {
        expect(hex(challengeBytes(`0x${hex(bytes)}`))).toBe(hex(bytes));
      }),
    );
  });

  test.each(["1b", "1c", "00", "01", "ff"])("v = %s does not matter", async (v) => {
    expect(await isChallengeSignedBy(WALLET, CHALLENGE, `0x${SIGNATURE.slice(2, -2)}${v}`)).toBe(true);
  });

  test("the signer's other parity and other texts are not accepted", async () => {
    expect(await isChallengeSignedBy(OTHER_WALLET, CHALLENGE, `0x${SIGNATURE.slice(2)}`)).toBe(false);
    expect(await isChallengeSignedBy(WALLET, `${CHALLENGE}!`, `0x${SIGNATURE.slice(2)}`)).toBe(false);
  });

  test.each([
    ["short", `0x${"11".repeat(64)}`],
    ["zero", `0x${"00".repeat(65)}`],
    ["over the curve order", `0x${"ff".repeat(65)}`],
  ] as const)("a signature that is %s is nobody's", async (_name, signature) => {
    expect(await isChallengeSignedBy(WALLET, CHALLENGE, signature)).toBe(false);
  });

  test("every wallet passes with its own signature, of either parity", async () => {
    const parities = new Set<string>();
    for (let round = 0; round < 20; round += 1) {
      const account = privateKeyToAccount(generatePrivateKey());
      const hash = challengeDigest(CHALLENGE);
      const signature = await account.sign({ hash });
      parities.add(signature.slice(-2));
      expect(await recoverAddress({ hash, signature })).toBe(account.address);
      expect(await isChallengeSignedBy(account.address, CHALLENGE, signature)).toBe(true);
    }
    expect(parities.size).toBeGreaterThan(0);
  });
});
