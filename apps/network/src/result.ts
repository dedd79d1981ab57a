import { type FileHandle, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type OutputLimits, readResultZip } from "@iexec-ts/payload";
import { type Bytes32, type ChainTask, parseResultLink, ZERO_ADDRESS } from "@iexec-ts/poco";
import { appendTo, CodedError, writeDurably } from "@iexec-ts/service";
import { hexToString } from "viem";
import { openPromise } from "yauzl";

const MIB = 1_024 * 1_024;
const LIMITS: OutputLimits = {
  entries: 1_000,
  depth: 32,
  pathBytes: 1_024,
  fileBytes: 256 * MIB,
  totalBytes: 512 * MIB,
  computedJsonBytes: MIB,
  callbackBytes: MIB,
};

/**
 * Fetches a finished task's result by the link on chain, checks its digest against the chain, and writes one of its files to `target`.
 *
 * Errors: NET-2005 when the link, the archive or the digest is not what it should be.
 * SIDE EFFECTS: one download; writes `target`.
 */
export async function fetchResult(
  task: ChainTask,
  options: { readonly gatewayUrl: string; readonly dir: string; readonly file: string; readonly target: string },
  signal: AbortSignal,
): Promise<Bytes32> {
  const link = parseResultLink(hexToString(task.results));
  if (link?.storage !== "ipfs") throw new CodedError("NET-2005", { reason: `task ${task.id} has no IPFS link on chain` });
  const archive = join(options.dir, `${task.id}.zip`);
  const response = await fetch(`${options.gatewayUrl}${link.location}`, { signal, headers: { accept: "application/zip" } });
  const { body } = response;
  if (!response.ok || body === null)
    throw new CodedError("NET-2005", { reason: `the gateway answered ${response.status} for ${link.location}` });
  try {
    const receive = (file: FileHandle) => pipeline(Readable.fromWeb(body), appendTo(file), { signal });
    await writeDurably(archive, receive, { flush: false });
    const { digest } = await readResultZip(archive, LIMITS, ZERO_ADDRESS, signal);
    if (digest !== task.resultDigest) {
      throw new CodedError("NET-2005", { reason: `the result's digest is ${digest}, the chain says ${task.resultDigest}` });
    }
    await extract(archive, options.file, options.target, signal);
    return digest;
  } finally {
    await rm(archive, { force: true });
  }
}

async function extract(archive: string, file: string, target: string, signal: AbortSignal): Promise<void> {
  const zip = await openPromise(archive, { lazyEntries: true });
  try {
    for await (const entry of zip.eachEntry()) {
      if (entry.fileName !== file) continue;
      await mkdir(join(target, ".."), { recursive: true });
      const unpack = async (to: FileHandle) => pipeline(await zip.openReadStreamPromise(entry), appendTo(to), { signal });
      await writeDurably(target, unpack, { mode: 0o644 });
      return;
    }
  } finally {
    zip.close();
  }
  throw new CodedError("NET-2005", { reason: `the result has no file ${file}` });
}
