const digit = (char: string | undefined): number => {
  const value = char === undefined ? Number.NaN : Number.parseInt(char, 16);
  return Number.isNaN(value) ? -1 : value;
};

/**
 * Bytes of a text as the Java peers decode hex, which never fails: one leading `0x` is dropped, an odd length makes the first digit a
 * byte of its own, and a character that is no hex digit counts as -1.
 *
 * @source web3j Numeric.hexStringToByteArray; wire.md 1.3, compute.md 2.3
 */
export function decodeWeb3jHex(text: string): Uint8Array {
  const digits = text.startsWith("0x") ? text.slice(2) : text;
  const bytes = new Uint8Array(Math.ceil(digits.length / 2));
  const odd = digits.length % 2;
  if (odd === 1) bytes[0] = digit(digits[0]);
  for (let at = odd; at < digits.length; at += 2) bytes[(at + odd) / 2] = (digit(digits[at]) << 4) + digit(digits[at + 1]);
  return bytes;
}
