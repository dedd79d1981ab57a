import { createHash } from "node:crypto";
import { open, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { CodedError, syncDirectory } from "@iexec-ts/service";
import { FsBlockstore } from "blockstore-fs";
import { NextToLast } from "blockstore-fs/sharding";
import { equals } from "multiformats/bytes";
import type { CID } from "multiformats/cid";
import { reasonOf, systemCode } from "../reason.ts";

type Bytes = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
const SYNC_BATCH = 16;

async function joined(bytes: Bytes): Promise<Uint8Array> {
  if (bytes instanceof Uint8Array) return bytes;
  const parts: Uint8Array[] = [];
  for await (const part of bytes) parts.push(part);
  return Buffer.concat(parts);
}

/** Blocks as files, checked against their hash when read, and on the disk for good after `flush`. */
export class BlockFiles {
  readonly #store: FsBlockstore;
  readonly #sharding = new NextToLast();
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
    this.#store = new FsBlockstore(directory, { shardingStrategy: this.#sharding });
  }

  async open(): Promise<void> {
    await this.#store.open();
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  /** A view that remembers what was written, so that one `flush` makes it durable. */
  session(): { readonly put: (cid: CID, bytes: Bytes) => Promise<CID>; readonly flush: () => Promise<void> } {
    const written = new Set<string>();
    return {
      put: async (cid, bytes) => {
        const block = await joined(bytes);
        const path = this.#path(cid);
        const present = await stat(path).catch(() => undefined);
        if (present?.size !== block.byteLength) await this.#store.put(cid, block);
        written.add(path);
        return cid;
      },
      flush: async () => {
        const paths = [...written];
        for (let at = 0; at < paths.length; at += SYNC_BATCH) await Promise.all(paths.slice(at, at + SYNC_BATCH).map(syncFile));
        for (const directory of new Set(paths.map((path) => dirname(path)))) await syncDirectory(directory);
        await syncDirectory(this.#directory);
      },
    };
  }

  async has(cid: CID): Promise<boolean> {
    const present = await stat(this.#path(cid)).catch(() => undefined);
    return present !== undefined;
  }

  /** Errors: PAY-1302 (absent), PAY-1305 (damaged; the file is removed so that the next add repairs it), PAY-1306. */
  async get(cid: CID): Promise<Uint8Array> {
    let bytes: Uint8Array;
    try {
      bytes = await joined(this.#store.get(cid));
    } catch (thrown) {
      if (!(await this.has(cid))) throw new CodedError("PAY-1302", { cid: cid.toString() }, { cause: thrown });
      throw new CodedError("PAY-1306", { reason: reasonOf(thrown) }, { cause: thrown });
    }
    if (!equals(createHash("sha256").update(bytes).digest(), cid.multihash.digest)) {
      await rm(this.#path(cid), { force: true });
      throw new CodedError("PAY-1305", { cid: cid.toString() });
    }
    return bytes;
  }

  #path(cid: CID): string {
    const { dir, file } = this.#sharding.encode(cid);
    return join(this.#directory, dir, file);
  }
}

async function syncFile(path: string): Promise<void> {
  try {
    const file = await open(path, "r");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (thrown) {
    if (systemCode(thrown) !== "EINVAL") throw thrown;
  }
}
