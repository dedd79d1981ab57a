import type { Readable } from "node:stream";
import { CodedError } from "@iexec-ts/service";
import type { CapturedLog } from "./api.ts";

const HEADER_BYTES = 8;
/** Frames of the engine hold one line or at most 16 KiB of it; anything far larger is not this protocol. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024;

export type LogStream = "stdout" | "stderr";
export interface LogFrame {
  readonly stream: LogStream;
  /** A piece of one frame. */
  readonly bytes: Buffer;
  /** True for the last piece. */
  readonly last: boolean;
}

export class MalformedLog extends Error {}

/**
 * Splits the engine's multiplexed log stream into frames, without ever holding more than one chunk.
 *
 * @source Docker Engine API, "Stream format" of container attach: 1 byte stream, 3 zero bytes, 4 bytes length (big endian), payload
 */
export async function* demultiplex(source: AsyncIterable<Uint8Array>): AsyncGenerator<LogFrame> {
  let header = Buffer.alloc(0);
  let stream: LogStream = "stdout";
  let missing = 0;
  for await (const part of source) {
    let chunk = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    while (chunk.length > 0) {
      if (missing === 0) {
        const needed = HEADER_BYTES - header.length;
        header = Buffer.concat([header, chunk.subarray(0, needed)]);
        chunk = chunk.subarray(needed);
        if (header.length < HEADER_BYTES) break;
        ({ stream, missing } = readHeader(header));
        header = Buffer.alloc(0);
        if (missing === 0) yield { stream, bytes: header, last: true };
        continue;
      }
      const bytes = chunk.subarray(0, missing);
      chunk = chunk.subarray(bytes.length);
      missing -= bytes.length;
      yield { stream, bytes, last: missing === 0 };
    }
  }
  if (missing > 0 || header.length > 0) throw new MalformedLog("the log ended inside a frame");
}

function readHeader(header: Buffer): { stream: LogStream; missing: number } {
  const kind = header.readUInt8(0);
  const missing = header.readUInt32BE(4);
  if (kind > 2 || header.readUIntBE(1, 3) !== 0 || missing > MAX_FRAME_BYTES) throw new MalformedLog("not a multiplexed log");
  return { stream: kind === 2 ? "stderr" : "stdout", missing };
}

/** Keeps the last `limit` bytes of one stream in a ring, and counts all. */
export class LogTail {
  readonly #ring: Buffer;
  readonly #decode: "stream" | "frames";
  #open: Buffer[] = [];
  #written = 0;
  /** Bytes received. */
  bytes = 0;
  /** Frames completed. */
  frames = 0;

  constructor(limit: number, decode: "stream" | "frames") {
    this.#ring = Buffer.alloc(limit);
    this.#decode = decode;
  }

  add({ bytes, last }: Pick<LogFrame, "bytes" | "last">): void {
    this.bytes += bytes.length;
    if (last) this.frames += 1;
    if (this.#decode === "stream") {
      this.#write(bytes);
      return;
    }
    this.#open.push(Buffer.from(bytes));
    if (!last) return;
    // Decoding and encoding again leaves a sound frame as it is and settles a broken one on its own.
    this.#write(Buffer.from(Buffer.concat(this.#open).toString("utf8")));
    this.#open = [];
  }

  #write(bytes: Buffer): void {
    const size = this.#ring.length;
    const kept = bytes.subarray(Math.max(0, bytes.length - size));
    const at = (this.#written + bytes.length - kept.length) % size;
    const beforeEnd = kept.subarray(0, size - at);
    beforeEnd.copy(this.#ring, at);
    kept.copy(this.#ring, 0, beforeEnd.length);
    this.#written += bytes.length;
  }

  /** @param rotated - the engine may have thrown away the beginning of the log */
  finish(rotated: boolean): CapturedLog {
    const size = this.#ring.length;
    const cut = this.#written > size;
    const at = this.#written % size;
    const tail = cut ? Buffer.concat([this.#ring.subarray(at), this.#ring.subarray(0, at)]) : this.#ring.subarray(0, this.#written);
    const text = tail.subarray(cut ? startOfCharacter(tail) : 0).toString("utf8");
    return { text, bytes: this.bytes, truncated: cut || rotated };
  }
}

/** First offset that does not lie inside a UTF-8 character whose beginning was cut off. */
function startOfCharacter(bytes: Buffer): number {
  let offset = 0;
  while (offset < 3 && ((bytes[offset] ?? 0) & 0xc0) === 0x80) offset += 1;
  return offset;
}

/**
 * Reads a log to its end, keeping the last `logBytes` of each stream.
 *
 * The tail is kept, not the head: it says why an app failed, and it is the same however the engine rotates its files.
 *
 * Errors: MalformedLog, and what the source throws.
 */
export async function captureLogs(
  source: AsyncIterable<Uint8Array>,
  { logBytes, decode, rotated }: { logBytes: number; decode: "stream" | "frames"; rotated: (frames: number, bytes: number) => boolean },
): Promise<Record<LogStream, CapturedLog>> {
  const tails = { stdout: new LogTail(logBytes, decode), stderr: new LogTail(logBytes, decode) };
  for await (const frame of demultiplex(source)) tails[frame.stream].add(frame);
  const lost = rotated(tails.stdout.frames + tails.stderr.frames, tails.stdout.bytes + tails.stderr.bytes);
  return { stdout: tails.stdout.finish(lost), stderr: tails.stderr.finish(lost) };
}

/**
 * `captureLogs` of an answer of the engine. Errors: SBX-1004 when it is no log; what the source throws when it broke off, also where that
 * left half a frame.
 */
export async function readLogs(source: Readable, options: Parameters<typeof captureLogs>[1]): Promise<Record<LogStream, CapturedLog>> {
  try {
    return await captureLogs(source, options);
  } catch (cause) {
    if (!(cause instanceof MalformedLog) || !source.readableEnded) throw cause;
    throw new CodedError("SBX-1004", { what: "read the logs", reason: cause.message }, { cause });
  }
}
