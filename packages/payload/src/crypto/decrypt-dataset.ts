import { createDecipheriv, type Decipheriv, pbkdf2 } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { promisify } from "node:util";
import { CodedError, writeAll, writeDurably } from "@iexec-ts/service";
import { reasonOf } from "../reason.ts";

const BLOCK_BYTES = 16;
const CHUNK_BYTES = 1_024 * 1_024;
/** Small enough for memory that the allocator keeps. */
const PIECE_BYTES = 16 * 1_024;
const KEY_BYTES = 32;
const OPENSSL_MAGIC = "Salted__";
const OPENSSL_ITERATIONS = 10_000;
const deriveKey = promisify(pbkdf2);

export interface DecryptRequest {
  readonly source: string;
  readonly target: string;
}

/**
 * Decrypts a dataset of the 9.x format: 16 bytes of IV, then AES-256-CBC with PKCS7 padding. Streaming.
 *
 * @param key - 32 bytes in base64, as the secret service keeps it
 * Errors: PAY-1122 (key), PAY-1121 (wrong key or damaged file).
 *
 * SIDE EFFECTS: creates or replaces `target`; not flushed to the disk, so decrypt again after a power cut.
 * @source reference/compute.md 3.6, vector V9
 */
export async function decryptDataset(request: DecryptRequest & { readonly key: string }, signal: AbortSignal): Promise<void> {
  const text = request.key.trim();
  const key = Buffer.from(text, "base64");
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text) || key.length !== KEY_BYTES)
    throw new CodedError("PAY-1122", { reason: "not 32 bytes in base64" });
  await decryptFrom(request, BLOCK_BYTES, signal, async (header) => ({ key, iv: header }));
}

/**
 * Decrypts a dataset of the 3.x format: `openssl enc -aes-256-cbc -pbkdf2`, that is `Salted__`, 8 bytes of salt, ciphertext. Streaming.
 *
 * @param passphrase - content of the secret file; like `-kfile`, only its first line counts
 * Errors: PAY-1122 (empty passphrase), PAY-1121 (wrong passphrase, wrong format or damaged file).
 *
 * SIDE EFFECTS: creates or replaces `target`; not flushed to the disk, so decrypt again after a power cut.
 * @source reference/compute.md 3.3
 */
export async function decryptOpensslDataset(request: DecryptRequest & { readonly passphrase: string }, signal: AbortSignal): Promise<void> {
  const [line = ""] = request.passphrase.split(/\r?\n/);
  if (line === "") throw new CodedError("PAY-1122", { reason: "the passphrase is empty" });
  await decryptFrom(request, OPENSSL_MAGIC.length + 8, signal, async (header) => {
    if (header.subarray(0, OPENSSL_MAGIC.length).toString("latin1") !== OPENSSL_MAGIC) {
      throw new CodedError("PAY-1121", { file: request.source, reason: "it has no OpenSSL header" });
    }
    const derived = await deriveKey(line, header.subarray(OPENSSL_MAGIC.length), OPENSSL_ITERATIONS, KEY_BYTES + BLOCK_BYTES, "sha256");
    return { key: derived.subarray(0, KEY_BYTES), iv: derived.subarray(KEY_BYTES) };
  });
}

async function decryptFrom(
  { source, target }: DecryptRequest,
  headerBytes: number,
  signal: AbortSignal,
  keyOf: (header: Buffer) => Promise<{ readonly key: Buffer; readonly iv: Buffer }>,
): Promise<void> {
  try {
    const { key, iv } = await keyOf(await readHeader(source, headerBytes));
    const decipher = createDecipheriv("aes-256-cbc", key, iv);
    const decryptTo = (file: FileHandle) => decipherBlocks({ source, start: headerBytes, decipher, file }, signal);
    // The encrypted file is durable and checked; the plain one can be made from it again.
    await writeDurably(target, decryptTo, { flush: false });
  } catch (thrown) {
    signal.throwIfAborted();
    if (thrown instanceof CodedError) throw thrown;
    throw new CodedError("PAY-1121", { file: source, reason: reasonOf(thrown) }, { cause: thrown });
  }
}

/** Reads one block and writes another while a third is deciphered, in buffers that are used again: fresh ones cost more than AES does. */
async function decipherBlocks(
  { source, start, decipher, file }: { source: string; start: number; decipher: Decipheriv; file: FileHandle },
  signal: AbortSignal,
): Promise<void> {
  const input = await open(source);
  try {
    const pair = (bytes: number) => ({ now: Buffer.allocUnsafeSlow(bytes), next: Buffer.allocUnsafeSlow(bytes) });
    const swap = (buffers: { now: Buffer; next: Buffer }) => {
      const { now, next } = buffers;
      buffers.now = next;
      buffers.next = now;
    };
    const cipherText = pair(CHUNK_BYTES);
    const plainText = pair(CHUNK_BYTES + BLOCK_BYTES);
    let position = start;
    let writing = Promise.resolve();
    let reading = input.read(cipherText.now, 0, CHUNK_BYTES, position);
    for (let { bytesRead } = await reading; bytesRead > 0; { bytesRead } = await reading) {
      signal.throwIfAborted();
      position += bytesRead;
      const arrived = cipherText.now.subarray(0, bytesRead);
      reading = input.read(cipherText.next, 0, CHUNK_BYTES, position);
      reading.catch(() => undefined);
      let length = 0;
      for (let at = 0; at < bytesRead; at += PIECE_BYTES) {
        const plain = decipher.update(arrived.subarray(at, at + PIECE_BYTES));
        plainText.now.set(plain, length);
        length += plain.length;
      }
      await writing;
      writing = writeAll(file, plainText.now.subarray(0, length));
      writing.catch(() => undefined);
      swap(cipherText);
      swap(plainText);
    }
    await writing;
    await writeAll(file, decipher.final());
  } finally {
    await input.close();
  }
}

async function readHeader(path: string, length: number): Promise<Buffer> {
  const file = await open(path);
  try {
    const header = Buffer.alloc(length);
    const { bytesRead } = await file.read(header, 0, length, 0);
    if (bytesRead < length) throw new CodedError("PAY-1121", { file: path, reason: "it is too short" });
    return header;
  } finally {
    await file.close();
  }
}
