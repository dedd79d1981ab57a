import { constants, type Dir } from "node:fs";
import { type FileHandle, lstat, open, opendir } from "node:fs/promises";
import { z } from "zod";

export interface TreeLimits {
  readonly bytes: number;
  readonly entries: number;
}

export interface TreeUsage {
  /** Bytes allocated on disk; a sparse file counts what it really takes. */
  readonly bytes: number;
  readonly entries: number;
  /** Folders this process may not read: what they hold is not counted. */
  readonly unreadable: number;
  readonly exceeded: boolean;
}

const MAX_DEPTH = 64;
const ENTRY_BYTES = 256;
const ON_LINUX = process.platform === "linux";
const errnoSchema = z.object({ code: z.string() });
const errnoOf = (thrown: unknown): string | undefined => errnoSchema.safeParse(thrown).data?.code;

/**
 * Measures a folder that a hostile process may be changing. Stops at the first limit that is exceeded, so it is bounded in time.
 *
 * Links are never followed: on Linux each folder is opened without following and its content addressed through the open descriptor, so
 * that a folder swapped for a link meanwhile leads nowhere. A tree deeper than 64 counts as exceeded.
 */
export async function measureTree(root: string, limits: TreeLimits, signal?: AbortSignal): Promise<TreeUsage> {
  let bytes = 0;
  let entries = 0;
  let unreadable = 0;
  let tooDeep = false;
  const exceeded = () => tooDeep || bytes > limits.bytes || entries > limits.entries;

  const walk = async (path: string | Buffer, depth: number): Promise<void> => {
    let folder: FileHandle | undefined;
    let listing: Dir | undefined;
    try {
      folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
      const base = ON_LINUX ? Buffer.from(`/proc/self/fd/${folder.fd}`) : Buffer.from(path);
      // Names are bytes: latin1 carries each of them through unchanged.
      listing = await opendir(base, { encoding: "latin1" });
      for await (const entry of listing) {
        signal?.throwIfAborted();
        const child = Buffer.concat([base, Buffer.from("/"), Buffer.from(entry.name, "latin1")]);
        const stat = await lstat(child).catch(unlessGone);
        if (stat === undefined) continue;
        entries += 1;
        bytes += stat.blocks * 512 + ENTRY_BYTES;
        if (exceeded()) return;
        if (!stat.isDirectory()) continue;
        if (depth >= MAX_DEPTH) tooDeep = true;
        else await walk(child, depth + 1);
        if (exceeded()) return;
      }
    } catch (thrown) {
      const errno = errnoOf(thrown);
      if (errno === "EACCES" || errno === "EPERM") unreadable += 1;
      else unlessGone(thrown);
    } finally {
      await listing?.close().catch(unlessClosed);
      await folder?.close();
    }
  };

  await walk(root, 0);
  return { bytes, entries, unreadable, exceeded: exceeded() };
}

/** An entry may vanish or change its kind between two calls; everything else is a fault. */
function unlessGone(thrown: unknown): undefined {
  const errno = errnoOf(thrown);
  if (errno === "ENOENT" || errno === "ENOTDIR" || errno === "ELOOP") return undefined;
  throw thrown;
}

/** Iterating a listing to its end has already closed it. */
function unlessClosed(thrown: unknown): undefined {
  if (errnoOf(thrown) === "ERR_DIR_CLOSED") return undefined;
  throw thrown;
}
