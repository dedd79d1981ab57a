import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { CodedError } from "@iexec-ts/service";
import { systemCode } from "../reason.ts";
import { printableName } from "./names.ts";
import { type TreeFile, unreadable } from "./walk.ts";

const CHUNK_BYTES = 1 << 18;

/**
 * Streams one file that `walkOutput` has listed, and only that file: it is opened without following a link or waiting for a pipe, and must
 * still be the same regular file, with one name and as many bytes as before.
 * Errors: PAY-1210, PAY-1216.
 */
export async function* readTreeFile(file: TreeFile): AsyncGenerator<Buffer> {
  const handle = await openRegular(file);
  try {
    const stats = await handle.stat({ bigint: true });
    const same = stats.isFile() && stats.nlink === 1n && stats.dev === file.device && stats.ino === file.inode;
    if (!same) throw changed(file);
    let left = file.bytes;
    // Bounded: the file's size when it was listed.
    for (;;) {
      const buffer = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, left + 1));
      const { bytesRead } = await handle.read(buffer, 0, buffer.byteLength, null);
      if (bytesRead === 0) break;
      left -= bytesRead;
      if (left < 0) throw changed(file);
      yield buffer.subarray(0, bytesRead);
    }
    if (left !== 0) throw changed(file);
  } catch (thrown) {
    throw thrown instanceof CodedError ? thrown : unreadable(file.path, thrown);
  } finally {
    await handle.close();
  }
}

/** All bytes of a small file. The caller has checked `file.bytes`. Errors: as `readTreeFile`. */
export async function readWholeTreeFile(file: TreeFile): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of readTreeFile(file)) parts.push(part);
  return Buffer.concat(parts);
}

async function openRegular(file: TreeFile): Promise<FileHandle> {
  try {
    return await open(file.absolute, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (thrown) {
    const code = systemCode(thrown);
    throw code === "ELOOP" || code === "ENOENT" || code === "ENXIO" || code === "ENOTDIR" ? changed(file) : unreadable(file.path, thrown);
  }
}

const changed = (file: TreeFile): CodedError => new CodedError("PAY-1216", { path: printableName(file.path) });
