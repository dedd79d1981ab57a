import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeWeb3jHex } from "./web3j-hex.ts";

const hex = (text: string) => Buffer.from(decodeWeb3jHex(text)).toString("hex");

test.each([
  ["AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/abcdE=", "abcdefefefefefefefefefefef0123456789efabcddf"],
  ["q83vEjRWeJA=", "f82fdfefdf9f"],
  ["0xZZ1234", "ef1234"],
  ["abc", "0abc"],
  ["0x", ""],
  ["", ""],
  ["x", "ff"],
])("%s -> %s", (text, bytes) => {
  expect(hex(text)).toBe(bytes);
});

test("real hex decodes to its bytes, with or without 0x", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const text = Buffer.from(bytes).toString("hex");
      expect(hex(text)).toBe(text);
      expect(hex(`0x${text.toUpperCase()}`)).toBe(text);
    }),
  );
});

test("no text makes it throw", () => {
  fc.assert(
    fc.property(
      fc.string({ unit: "binary" }),
      (text) => decodeWeb3jHex(text).length === Math.ceil((text.startsWith("0x") ? text.length - 2 : text.length) / 2),
    ),
  );
});
