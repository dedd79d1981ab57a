import { concatHex, keccak256, sha256 } from "viem";
import { hexOf } from "./hex.ts";
import type { Bytes32 } from "./structs.ts";
import { decodeWeb3jHex } from "./web3j-hex.ts";

/** One direct entry of a result folder. */
export interface DigestEntry {
  readonly name: string;
  /** SHA-256 of the content; undefined for a folder or anything that is not a readable file: it adds nothing. */
  readonly sha256: Bytes32 | undefined;
}

const byUtf16 = (a: DigestEntry, b: DigestEntry): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/**
 * Digest of a result folder: the hashes of its direct files, hidden ones included, in the order of the UTF-16 units of their names. The
 * digest of a single file is its SHA-256.
 *
 * @source compute.md 2.3
 */
export function directoryDigest(entries: readonly DigestEntry[]): Bytes32 {
  const hashes = [...entries].sort(byUtf16).flatMap((entry) => (entry.sha256 === undefined ? [] : [entry.sha256]));
  return keccak256(concatHex(hashes));
}

/**
 * Digest of a deal with a callback, and the bytes the callback is called with.
 *
 * @param callbackData - the text the app wrote, decoded by web3j's rules whatever it is
 * @returns undefined for an empty text: there is no result
 * @source compute.md 2.3; IexecPoco2.finalize: keccak256(resultsCallback) == resultDigest
 */
export function callbackDigest(callbackData: string): { readonly digest: Bytes32; readonly bytes: `0x${string}` } | undefined {
  if (callbackData === "") return undefined;
  const bytes = decodeWeb3jHex(callbackData);
  return { digest: keccak256(bytes), bytes: hexOf(bytes) };
}

const LAST_LINE_END = /(?:\r\n|[\n\r\u0085\u2028\u2029])$/;

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Digest of a v3 app that left `determinism.iexec`: its text, without one last line end, decoded by web3j's rules; 32 bytes are the digest
 * themselves, others are hashed.
 *
 * @param content - the file's bytes
 * @source compute.md 2.4
 */
export function determinismDigest(content: Uint8Array): Bytes32 {
  const text = decodeUtf8(content);
  if (text === undefined || text === "") return sha256(content);
  const trimmed = text.replace(LAST_LINE_END, "");
  const bytes = decodeWeb3jHex(trimmed === "" ? text : trimmed);
  return bytes.length === 32 ? hexOf(bytes) : sha256(bytes);
}
