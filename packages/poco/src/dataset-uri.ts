import { hexToBytes } from "viem";
import { parseIpfsPath } from "./result-link.ts";
import type { Hex } from "./structs.ts";

/** Where the bytes of a dataset are. */
export type DatasetUri =
  | { readonly kind: "ipfs"; readonly cid: string; readonly path: string }
  | { readonly kind: "url"; readonly url: string };

/** Longest `multiaddr` this code base reads, in bytes. */
export const MAX_MULTIADDR_BYTES = 4096;

const IPFS_CODE = [0xa5, 0x03] as const;
const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE32 = "abcdefghijklmnopqrstuvwxyz234567";

function base58(bytes: Uint8Array): string {
  let value = bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  let text = "";
  for (; value > 0n; value /= 58n) text = BASE58.charAt(Number(value % 58n)) + text;
  const zeros = bytes.findIndex((byte) => byte !== 0);
  return "1".repeat(zeros < 0 ? bytes.length : zeros) + text;
}

function base32(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = ((held << 8) | byte) & 0xffff;
    bits += 8;
    for (; bits >= 5; bits -= 5) text += BASE32.charAt((held >> (bits - 5)) & 31);
  }
  return bits === 0 ? text : text + BASE32.charAt((held << (5 - bits)) & 31);
}

/** The CID inside a binary `/ipfs/<cid>` multiaddr, or undefined: two bytes of protocol, one of length, then a multihash or a CIDv1. */
function cidOfBinary(bytes: Uint8Array): string | undefined {
  if (bytes[0] !== IPFS_CODE[0] || bytes[1] !== IPFS_CODE[1]) return undefined;
  const cid = bytes.subarray(3);
  if (bytes[2] !== cid.length || cid.length > 127) return undefined;
  if (cid.length === 34 && cid[0] === 0x12 && cid[1] === 0x20) return base58(cid);
  return cid[0] === 1 ? `b${base32(cid)}` : undefined;
}

/**
 * Where a dataset, or an app's image reference, says it is, from its `multiaddr` bytes: a binary `/ipfs/<cid>` multiaddr, or text, which
 * is `/ipfs/<cid>[/path]` or an `http(s)` URL.
 *
 * @returns undefined for anything else; other multiaddr protocols name no file
 * @source compute.md 3.1
 */
export function parseDatasetUri(multiaddr: Hex): DatasetUri | undefined {
  if (!/^0x(?:[0-9a-fA-F]{2})+$/.test(multiaddr) || multiaddr.length > 2 + 2 * MAX_MULTIADDR_BYTES) return undefined;
  const bytes = hexToBytes(multiaddr);
  const cid = cidOfBinary(bytes);
  if (cid !== undefined) return { kind: "ipfs", cid, path: "" };
  const text = decodeMultiaddrText(multiaddr);
  if (text === undefined) return undefined;
  const ipfs = parseIpfsPath(text);
  if (ipfs !== undefined) return { kind: "ipfs", ...ipfs };
  return /^https?:\/\//i.test(text) && URL.canParse(text) ? { kind: "url", url: text } : undefined;
}

/** The text of `multiaddr` bytes (an app's image reference, or a URL), or undefined when they are not UTF-8. @source compute.md 1.8 */
export function decodeMultiaddrText(multiaddr: Hex): string | undefined {
  if (multiaddr.length > 2 + 2 * MAX_MULTIADDR_BYTES) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(hexToBytes(multiaddr));
  } catch {
    return undefined;
  }
}
