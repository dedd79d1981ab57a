import { mkdir } from "node:fs/promises";
import { Readable } from "node:stream";
import { CodedError } from "@iexec-ts/service";
import { decode } from "@ipld/dag-pb";
import { UnixFS } from "ipfs-unixfs";
import { exporter } from "ipfs-unixfs-exporter";
import { importer } from "ipfs-unixfs-importer";
import { fixedSize } from "ipfs-unixfs-importer/chunker";
import { balanced } from "ipfs-unixfs-importer/layout";
import type { CID } from "multiformats/cid";
import type { IpfsStore } from "../api.ts";
import { reasonOf } from "../reason.ts";
import { BlockFiles } from "./block-store.ts";
import { isDagPb, parseCid } from "./cid.ts";

/** Kubo's defaults for `ipfs add`. @source reference/envlab.md 7 */
const CHUNK_BYTES = 262_144;
const LINKS_PER_NODE = 174;

/**
 * An IPFS content store in a folder: what is added gets the CID that Kubo would give it, and is on the disk for good when `add` resolves.
 * Blocks are compared with their hash when read.
 *
 * SIDE EFFECTS: creates and fills `dir`.
 */
export async function openIpfsStore(options: { readonly dir: string }): Promise<IpfsStore> {
  const blocks = new BlockFiles(options.dir);
  try {
    await mkdir(options.dir, { recursive: true });
    await blocks.open();
  } catch (thrown) {
    throw new CodedError("PAY-1306", { reason: reasonOf(thrown) }, { cause: thrown });
  }
  return {
    add: (source, signal) => add(blocks, source, signal),
    stat: async (cid) => await stat(blocks, parseCid(cid)),
    get: (cid, range) => Readable.from(content(blocks, parseCid(cid), range), { objectMode: false, highWaterMark: CHUNK_BYTES }),
    block: async (cid) => {
      const parsed = parseCid(cid);
      return (await blocks.has(parsed)) ? await blocks.get(parsed) : undefined;
    },
    close: () => blocks.close(),
  };
}

async function add(blocks: BlockFiles, source: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<{ cid: string; bytes: number }> {
  const session = blocks.session();
  let bytes = 0;
  let failure: { readonly thrown: unknown } | undefined;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of source) {
        signal?.throwIfAborted();
        bytes += chunk.byteLength;
        yield chunk;
      }
    } catch (thrown) {
      failure = { thrown };
      throw thrown;
    }
  };
  try {
    const options = {
      cidVersion: 0 as const,
      rawLeaves: false,
      chunker: fixedSize({ chunkSize: CHUNK_BYTES }),
      layout: balanced({ maxChildrenPerNode: LINKS_PER_NODE }),
      blockWriteConcurrency: 16,
    };
    let cid: string | undefined;
    for await (const entry of importer([{ content: counted() }], session, options)) cid = entry.cid.toString();
    if (cid === undefined) throw new CodedError("PAY-1306", { reason: "nothing was imported" });
    await session.flush();
    return { cid, bytes };
  } catch (thrown) {
    signal?.throwIfAborted();
    if (failure !== undefined) throw failure.thrown;
    if (thrown instanceof CodedError) throw thrown;
    throw new CodedError("PAY-1306", { reason: reasonOf(thrown) }, { cause: thrown });
  }
}

/** Size of the file, or undefined when the root or any block under it is not here. */
async function stat(blocks: BlockFiles, root: CID): Promise<{ readonly bytes: number } | undefined> {
  if (!(await blocks.has(root))) return undefined;
  const block = await blocks.get(root);
  if (!isDagPb(root)) return { bytes: block.byteLength };
  const file = fileOf(block);
  if (file === undefined) throw new CodedError("PAY-1301", { cid: root.toString() });
  return (await allPresent(blocks, block)) ? { bytes: file.bytes } : undefined;
}

async function allPresent(blocks: BlockFiles, block: Uint8Array): Promise<boolean> {
  const file = fileOf(block);
  for (const [at, link] of decode(block).Links.entries()) {
    if (!(await blocks.has(link.Hash))) return false;
    const isLeaf = !isDagPb(link.Hash) || (file?.blockSizes[at] ?? 0) <= CHUNK_BYTES;
    if (!isLeaf && !(await allPresent(blocks, await blocks.get(link.Hash)))) return false;
  }
  return true;
}

function fileOf(block: Uint8Array): { readonly bytes: number; readonly blockSizes: readonly number[] } | undefined {
  const { Data } = decode(block);
  if (Data === undefined) return undefined;
  const node = UnixFS.unmarshal(Data);
  if (node.type !== "file" && node.type !== "raw") return undefined;
  return { bytes: Number(node.fileSize()), blockSizes: node.blockSizes.map(Number) };
}

async function* content(
  blocks: BlockFiles,
  cid: CID,
  range?: { readonly start: number; readonly end?: number },
): AsyncGenerator<Uint8Array> {
  const storage = {
    get: async function* (block: CID): AsyncGenerator<Uint8Array> {
      yield await blocks.get(block);
    },
  };
  try {
    const entry = await exporter(cid, storage);
    if (entry.type !== "file" && entry.type !== "raw") throw new CodedError("PAY-1301", { cid: cid.toString() });
    const offset = range?.start ?? 0;
    const length = range?.end === undefined ? undefined : range.end - offset + 1;
    yield* entry.content({ offset, blockReadConcurrency: 4, ...(length === undefined ? {} : { length }) });
  } catch (thrown) {
    for (let cause = thrown; cause instanceof Error; cause = cause.cause) if (cause instanceof CodedError) throw cause;
    throw new CodedError("PAY-1302", { cid: cid.toString() }, { cause: thrown });
  }
}
