import { constants } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Writes `target` so that a crash at any moment leaves either the whole new file or what was there before.
 * The bytes go to `target.part`, are flushed, and are renamed only when `write` has resolved.
 *
 * @param options.flush - false for what can be made again: after a power cut, though not after a crash of this process, it may be damaged
 * SIDE EFFECTS: creates or replaces `target`; removes `target.part` when `write` fails.
 */
export async function writeDurably<T>(target: string, write: (file: FileHandle) => Promise<T>, { flush = true } = {}): Promise<T> {
  const part = `${target}.part`;
  await rm(part, { force: true });
  const file = await open(part, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  try {
    const result = await write(file);
    if (flush) await file.sync();
    await file.close();
    await rename(part, target);
    if (flush) await syncDirectory(dirname(target));
    return result;
  } catch (thrown) {
    await file.close();
    await rm(part, { force: true });
    throw thrown;
  }
}

/** SIDE EFFECTS: flushes the names of a folder to the disk. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** SIDE EFFECTS: writes all of `chunk` at the end of `file`. */
export async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let offset = 0;
  while (offset < chunk.byteLength) {
    const { bytesWritten } = await file.write(chunk, offset, chunk.byteLength - offset);
    offset += bytesWritten;
  }
}
