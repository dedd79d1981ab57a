import type { BigIntStats, Dir } from "node:fs";
import { lstat, opendir } from "node:fs/promises";
import { join } from "node:path";
import { CodedError } from "@iexec-ts/service";
import type { OutputLimits } from "../api.ts";
import { reasonOf } from "../reason.ts";
import { checkName, printableName } from "./names.ts";

export interface TreeFile {
  /** Relative to the output folder, with `/`. */
  readonly path: string;
  readonly absolute: string;
  readonly bytes: number;
  /** Identity at the time of the walk; the file that is read later must be the same. */
  readonly device: bigint;
  readonly inode: bigint;
}

export interface Tree {
  readonly files: ReadonlyMap<string, TreeFile>;
  /** Relative paths; the root is the empty string. */
  readonly folders: ReadonlySet<string>;
}

const kindOf = (stats: BigIntStats): string =>
  stats.isSymbolicLink() ? "symbolic link" : stats.isFIFO() ? "pipe" : stats.isSocket() ? "socket" : "device";

/**
 * Lists an output tree without following, opening or trusting anything in it, and stops at the first breach of a limit.
 * Errors: PAY-1201 to PAY-1210.
 * @source reference/compute.md 6.6
 */
export async function walkOutput(root: string, limits: OutputLimits, signal: AbortSignal): Promise<Tree> {
  const files = new Map<string, TreeFile>();
  const folders = new Set([""]);
  const rootStats = await statEntry(root, "/");
  if (!rootStats.isDirectory()) throw new CodedError("PAY-1202", { path: "/", kind: rootStats.isFile() ? "file" : kindOf(rootStats) });
  const waiting: { readonly path: string; readonly depth: number }[] = [{ path: "", depth: 0 }];
  let entries = 0;
  let total = 0;
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    for await (const { name } of await openFolder(join(root, folder.path), folder.path)) {
      signal.throwIfAborted();
      if (++entries > limits.entries) throw new CodedError("PAY-1205", { limit: limits.entries });
      const path = folder.path === "" ? name : `${folder.path}/${name}`;
      const depth = folder.depth + 1;
      if (depth > limits.depth) throw new CodedError("PAY-1206", { limit: limits.depth });
      if (Buffer.byteLength(path) > limits.pathBytes) throw new CodedError("PAY-1207", { limit: limits.pathBytes });
      checkName(name, "folder");
      const absolute = join(root, path);
      const stats = await statEntry(absolute, path);
      if (stats.dev !== rootStats.dev) throw new CodedError("PAY-1202", { path: printableName(path), kind: "mount point" });
      if (stats.isDirectory()) {
        folders.add(path);
        waiting.push({ path, depth });
        continue;
      }
      if (!stats.isFile()) throw new CodedError("PAY-1202", { path: printableName(path), kind: kindOf(stats) });
      checkName(name, "file");
      if (stats.nlink !== 1n) throw new CodedError("PAY-1203", { path: printableName(path), links: stats.nlink });
      if (stats.size > BigInt(limits.fileBytes)) throw new CodedError("PAY-1208", { path: printableName(path), limit: limits.fileBytes });
      const bytes = Number(stats.size);
      total += bytes;
      if (total > limits.totalBytes) throw new CodedError("PAY-1209", { limit: limits.totalBytes });
      files.set(path, { path, absolute, bytes, device: stats.dev, inode: stats.ino });
    }
  }
  return { files, folders };
}

async function openFolder(absolute: string, path: string): Promise<Dir> {
  try {
    return await opendir(absolute, { bufferSize: 256 });
  } catch (thrown) {
    throw unreadable(path, thrown);
  }
}

async function statEntry(absolute: string, path: string): Promise<BigIntStats> {
  try {
    return await lstat(absolute, { bigint: true });
  } catch (thrown) {
    throw unreadable(path, thrown);
  }
}

/** A failed read of an output entry. */
export const unreadable = (path: string, thrown: unknown): CodedError =>
  new CodedError("PAY-1210", { path: printableName(path), reason: reasonOf(thrown) }, { cause: thrown });
