import type { Address, Hex } from "@iexec-ts/poco";
import { hexToBigInt, isAddressEqual, keccak256, recoverAddress, size, slice, toHex } from "viem";

/** Of a hex digit its value, of anything else -1; as Java's Character.digit for ASCII. */
function digit(text: string, index: number): number {
  const parsed = Number.parseInt(text.charAt(index), 16);
  return Number.isNaN(parsed) ? -1 : parsed;
}

/**
 * The bytes that Java signs for a challenge: its base64 text read as if it were hex. Wrong, never failing, and to be reproduced bit for bit.
 *
 * @source wire.md 1.3.2 (web3j Numeric.hexStringToByteArray)
 */
export function challengeBytes(challenge: string): Uint8Array {
  const text = challenge.startsWith("0x") ? challenge.slice(2) : challenge;
  const odd = text.length % 2;
  const bytes = new Uint8Array(odd + (text.length - odd) / 2);
  // Stored modulo 256, which is what a Java byte keeps.
  if (odd === 1) bytes[0] = digit(text, 0);
  for (let at = odd; at < text.length; at += 2) bytes[odd + (at - odd) / 2] = (digit(text, at) << 4) + digit(text, at + 1);
  return bytes;
}

/** What is signed, raw: no EIP-191 prefix. @source wire.md 1.3.2 */
export const challengeDigest = (challenge: string): Hex => keccak256(toHex(challengeBytes(challenge)));

/**
 * Whether `wallet` signed the challenge. The signature's v is not looked at; every recovery id is tried, as Java does.
 *
 * @source wire.md 1.3.3
 */
export async function isChallengeSignedBy(wallet: Address, challenge: string, signature: Hex): Promise<boolean> {
  if (size(signature) !== 65) return false;
  const r = slice(signature, 0, 32);
  const s = slice(signature, 32, 64);
  if (hexToBigInt(r) === 0n || hexToBigInt(s) === 0n) return false;
  const hash = challengeDigest(challenge);
  // Ids 2 and 3 mean r + n < p: 2^-128 of all signatures, which nobody will ever see.
  for (const yParity of [0, 1]) {
    try {
      const signer = await recoverAddress({ hash, signature: { r, s, yParity } });
      if (isAddressEqual(signer, wallet)) return true;
    } catch {
      // Not a point of the curve for this id: the same as another signer.
    }
  }
  return false;
}
