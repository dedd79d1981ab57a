import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import type { Bytes32 } from "@iexec-ts/poco";

export const sha256 = (): Hash => createHash("sha256");

/** Ends a hash as `0x` and 64 lower-case hex digits. */
export const finishHash = (hash: Hash): Bytes32 => `0x${hash.digest("hex")}`;

/** sha256 of a file, streaming. */
export async function hashFile(path: string, signal: AbortSignal): Promise<Bytes32> {
  const hash = sha256();
  for await (const chunk of createReadStream(path, { signal, highWaterMark: 1 << 18 })) hash.update(chunk);
  return finishHash(hash);
}
