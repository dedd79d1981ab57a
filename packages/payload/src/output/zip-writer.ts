import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { crc32, createDeflateRaw, deflateRaw } from "node:zlib";
import type { Bytes32 } from "@iexec-ts/poco";
import { CodedError, writeAll, writeDurably } from "@iexec-ts/service";
import { finishHash, sha256 } from "../hash.ts";

export interface ZipEntry {
  /** Relative path with `/`; already checked. */
  readonly name: string;
  readonly open: () => AsyncIterable<Buffer> | Iterable<Buffer>;
}

export interface ZipFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: Bytes32;
}

const compress = promisify(deflateRaw);
const DEFLATE = 8;
const VERSION_NEEDED = 20;
/** Made on Unix: with any other value Info-ZIP reads UTF-8 names wrongly, and it then needs a mode. */
const MADE_BY = (3 << 8) | VERSION_NEEDED;
const PLAIN_FILE = 0o100644 * 0x1_0000;
/** Sizes follow the data; names are UTF-8. */
const FLAGS = 0x0808;
/** 1980-01-01 00:00, the first moment of DOS time. */
const DOS_DATE = 0x0021;
const MAX_OFFSET = 0xffff_ffff;
const MAX_ENTRIES = 0xffff;
const LEVEL = 1;
const CHUNK_BYTES = 1 << 18;
const STORED_BLOCK_BYTES = 0xffff;
const WORTH_COMPRESSING = 0.97;

/**
 * Writes a zip that depends on names and contents only: entries in the given order, one fixed date, one mode, no extra fields. As the
 * Java worker's zip: files only, deflate, version 2.0, flags 0x0808.
 * Content that does not shrink is put into stored deflate blocks at the speed of the disk.
 * Errors: PAY-1217; whatever reading an entry throws.
 *
 * SIDE EFFECTS: creates or replaces `path`, atomically.
 * @source reference/compute.md 2.8
 */
export async function writeZip(path: string, entries: Iterable<ZipEntry>, signal: AbortSignal): Promise<ZipFile> {
  const hash = sha256();
  let bytes = 0;
  await writeDurably(path, async (file) => {
    for await (const chunk of zipBytes(entries)) {
      signal.throwIfAborted();
      hash.update(chunk);
      bytes += chunk.byteLength;
      await writeAll(file, chunk);
    }
  });
  return { path, bytes, sha256: finishHash(hash) };
}

interface Written {
  readonly name: Buffer;
  readonly offset: number;
  readonly crc: number;
  readonly compressed: number;
  readonly size: number;
}

async function* zipBytes(entries: Iterable<ZipEntry>): AsyncGenerator<Buffer> {
  const written: Written[] = [];
  let offset = 0;
  for (const entry of entries) {
    const name = Buffer.from(entry.name, "utf8");
    const start = offset;
    const header = localHeader(name);
    offset += header.byteLength;
    yield header;
    let crc = 0;
    let size = 0;
    const counted = async function* (): AsyncGenerator<Buffer> {
      for await (const chunk of entry.open()) {
        crc = crc32(chunk, crc);
        size += chunk.byteLength;
        yield chunk;
      }
    };
    let compressed = 0;
    for await (const chunk of deflated(counted())) {
      compressed += chunk.byteLength;
      if (offset + compressed > MAX_OFFSET || size > MAX_OFFSET) throw tooLarge();
      yield chunk;
    }
    offset += compressed;
    written.push({ name, offset: start, crc, compressed, size });
    if (written.length > MAX_ENTRIES) throw tooLarge();
    const descriptor = dataDescriptor(crc, compressed, size);
    offset += descriptor.byteLength;
    yield descriptor;
  }
  const directory = Buffer.concat(written.map(centralRecord));
  if (offset + directory.byteLength > MAX_OFFSET) throw tooLarge();
  yield directory;
  yield endRecord(written.length, directory.byteLength, offset);
}

const tooLarge = (): CodedError => new CodedError("PAY-1217", { limit: "4 GiB, 65535 entries" });

/** Decides by the first chunk whether the rest is worth compressing; the choice depends on content only. */
async function* deflated(source: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const first = await source.next();
  if (first.done === true) {
    yield await compress(Buffer.alloc(0));
    return;
  }
  const sample = await compress(first.value, { level: LEVEL });
  const all = async function* (): AsyncGenerator<Buffer> {
    yield first.value;
    yield* source;
  };
  if (sample.byteLength > first.value.byteLength * WORTH_COMPRESSING) yield* storedBlocks(all());
  else yield* squeezed(all());
}

async function* squeezed(source: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const deflate = createDeflateRaw({ level: LEVEL, chunkSize: CHUNK_BYTES });
  const feeding = pipeline(Readable.from(source, { highWaterMark: 4 }), deflate);
  feeding.catch(() => undefined);
  for await (const chunk of deflate) {
    const part: Buffer = chunk;
    yield part;
  }
  await feeding;
}

async function* storedBlocks(source: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    for (let at = 0; at < chunk.byteLength; at += STORED_BLOCK_BYTES) {
      const part = chunk.subarray(at, at + STORED_BLOCK_BYTES);
      yield storedHeader(0, part.byteLength);
      yield part;
    }
  }
  yield storedHeader(1, 0);
}

function storedHeader(final: 0 | 1, length: number): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(final, 0);
  header.writeUInt16LE(length, 1);
  header.writeUInt16LE(length ^ 0xffff, 3);
  return header;
}

function localHeader(name: Buffer): Buffer {
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(VERSION_NEEDED, 4);
  header.writeUInt16LE(FLAGS, 6);
  header.writeUInt16LE(DEFLATE, 8);
  header.writeUInt16LE(DOS_DATE, 12);
  header.writeUInt16LE(name.byteLength, 26);
  return Buffer.concat([header, name]);
}

function dataDescriptor(crc: number, compressed: number, size: number): Buffer {
  const descriptor = Buffer.alloc(16);
  descriptor.writeUInt32LE(0x08074b50, 0);
  descriptor.writeUInt32LE(crc, 4);
  descriptor.writeUInt32LE(compressed, 8);
  descriptor.writeUInt32LE(size, 12);
  return descriptor;
}

function centralRecord(entry: Written): Buffer {
  const record = Buffer.alloc(46);
  record.writeUInt32LE(0x02014b50, 0);
  record.writeUInt16LE(MADE_BY, 4);
  record.writeUInt16LE(VERSION_NEEDED, 6);
  record.writeUInt16LE(FLAGS, 8);
  record.writeUInt16LE(DEFLATE, 10);
  record.writeUInt16LE(DOS_DATE, 14);
  record.writeUInt32LE(entry.crc, 16);
  record.writeUInt32LE(entry.compressed, 20);
  record.writeUInt32LE(entry.size, 24);
  record.writeUInt16LE(entry.name.byteLength, 28);
  record.writeUInt32LE(PLAIN_FILE, 38);
  record.writeUInt32LE(entry.offset, 42);
  return Buffer.concat([record, entry.name]);
}

function endRecord(entries: number, directoryBytes: number, directoryOffset: number): Buffer {
  const record = Buffer.alloc(22);
  record.writeUInt32LE(0x06054b50, 0);
  record.writeUInt16LE(entries, 8);
  record.writeUInt16LE(entries, 10);
  record.writeUInt32LE(directoryBytes, 12);
  record.writeUInt32LE(directoryOffset, 16);
  return record;
}
