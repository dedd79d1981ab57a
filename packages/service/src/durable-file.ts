import { randomUUID } from "node:crypto";
import { closeSync, constants, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { type FileHandle, link, open, readdir, rename, rm, stat, symlink } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/**
 * The only place of the product that gives a file its name: what somebody else may read is written under a name of its own beside it and
 * appears whole. A lint rule (`tools/lint/whole-files.grit`) keeps `rename` and `writeFile` out of the rest.
 */
export interface DurableOptions {
  /** Permissions of the new file, less the process's umask; 0600 unless told. */
  readonly mode?: number;
  /** False for what can be made again: after a power cut, though not after a crash of this process, it may be damaged. */
  readonly flush?: boolean;
  /** Never replaces: fails with EEXIST where something has the name. */
  readonly exclusive?: boolean;
}

const DRAFT = /^\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.draft$/;
/** No draft of a living process rests so long: a small text is written in milliseconds, and a longer work writes on. */
const STALE_MS = 60 * 60 * 1_000;
const NEW_FILE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const NO_HARD_LINKS = ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"];

/** A name of its own each time, and of its own length: the target's may be the longest that a file system knows. */
const draftOf = (target: string): string => join(dirname(target), `.${randomUUID()}.draft`);

const codeOf = (thrown: unknown): string => (thrown instanceof Error && "code" in thrown ? String(thrown.code) : "");

/**
 * Writes `target` so that a crash at any moment leaves either the whole new file or what was there before, and so that any number of
 * writers, in this process or others, neither disturb each other nor show a reader anything but a whole file. The last one wins.
 *
 * @param write - writes the content, front to back; the file is open for reading too
 * Errors: those of the file system, and whatever `write` throws.
 * SIDE EFFECTS: creates or replaces `target`; a draft beside it, which is removed when anything fails. A crash leaves the draft: the owner
 * of the folder calls `sweepDrafts`.
 */
export async function writeDurably<T>(
  target: string,
  write: (file: FileHandle) => Promise<T>,
  { mode = 0o600, flush = true, exclusive = false }: DurableOptions = {},
): Promise<T> {
  const draft = draftOf(target);
  const file = await open(draft, NEW_FILE, mode);
  try {
    let result: T;
    try {
      result = await write(file);
      if (flush) await file.sync();
    } finally {
      await file.close();
    }
    await (exclusive ? nameOnce(draft, target) : rename(draft, target));
    if (flush) await syncDirectory(dirname(target));
    return result;
  } catch (thrown) {
    await rm(draft, { force: true });
    throw thrown;
  }
}

/** One step that fails when the name is taken; a file system without hard links looks first. */
async function nameOnce(draft: string, target: string): Promise<void> {
  try {
    await link(draft, target);
    await rm(draft);
  } catch (thrown) {
    if (!NO_HARD_LINKS.includes(codeOf(thrown))) throw thrown;
    const taken = await stat(target).then(
      () => true,
      () => false,
    );
    if (taken) throw Object.assign(new Error(`EEXIST: file already exists, ${basename(target)}`), { code: "EEXIST" });
    await rename(draft, target);
  }
}

/**
 * Replaces a small text file as `writeDurably` does, and removes what crashed writers left in its folder more than an hour ago.
 *
 * SIDE EFFECTS: as `writeDurably`.
 */
export async function replaceFile(target: string, text: string, options: DurableOptions = {}): Promise<void> {
  await writeDurably(target, (file) => file.writeFile(text), options);
  // What is left behind costs a few bytes; it is no reason to fail what has been written.
  await sweepDrafts(dirname(target), STALE_MS).catch(() => undefined);
}

/** `replaceFile` in one turn of the event loop, for a file that is read, changed and written again. SIDE EFFECTS: as `writeDurably`. */
export function replaceFileSync(
  target: string,
  text: string,
  { mode = 0o600, flush = true }: Omit<DurableOptions, "exclusive"> = {},
): void {
  const draft = draftOf(target);
  const file = openSync(draft, NEW_FILE, mode);
  try {
    try {
      writeFileSync(file, text);
      if (flush) fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, target);
  } catch (thrown) {
    rmSync(draft, { force: true });
    throw thrown;
  }
}

/**
 * Makes `path` a symbolic link, whatever it was before, at no moment missing.
 *
 * SIDE EFFECTS: creates or replaces `path`.
 */
export async function replaceLink(path: string, to: string): Promise<void> {
  const draft = draftOf(path);
  try {
    await symlink(to, draft);
    await rename(draft, path);
    await syncDirectory(dirname(path));
  } catch (thrown) {
    await rm(draft, { force: true });
    throw thrown;
  }
}

/** SIDE EFFECTS: gives a folder that is complete its name, in place of one that had it. */
export async function placeFolder(complete: string, path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
  await rename(complete, path);
  await syncDirectory(dirname(path));
}

/**
 * Removes drafts from one folder. Without an age this is for the owner of the folder, while nothing of it is being written.
 *
 * @param olderThanMs - milliseconds since a draft was last written to
 * SIDE EFFECTS: removes files of this module only.
 */
export async function sweepDrafts(folder: string, olderThanMs = 0): Promise<void> {
  const drafts = (await readdir(folder)).filter((name) => DRAFT.test(name)).map((name) => join(folder, name));
  for (const draft of drafts) {
    const found = await stat(draft).catch(() => undefined);
    if (olderThanMs === 0 || (found !== undefined && Date.now() - found.mtimeMs > olderThanMs)) await rm(draft, { force: true });
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

/** The end of a `pipeline`: writes all that comes into `file`. */
export const appendTo =
  (file: FileHandle) =>
  async (source: AsyncIterable<Uint8Array>): Promise<void> => {
    for await (const chunk of source) await writeAll(file, chunk);
  };

/** SIDE EFFECTS: writes all of `chunk` at the end of `file`. */
export async function writeAll(file: FileHandle, chunk: Uint8Array): Promise<void> {
  let offset = 0;
  while (offset < chunk.byteLength) {
    const { bytesWritten } = await file.write(chunk, offset, chunk.byteLength - offset);
    offset += bytesWritten;
  }
}
