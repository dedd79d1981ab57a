import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import { dirname } from "node:path/posix";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";

/** One thing inside an image. */
export type ImageEntry =
  | { readonly kind: "text"; readonly content: string | Uint8Array; readonly mode?: number }
  | { readonly kind: "copy"; readonly from: string; readonly mode?: number }
  | { readonly kind: "link"; readonly to: string }
  | { readonly kind: "folder"; readonly mode?: number };

/** Absolute path inside the image -> what is there. Parent folders come by themselves. */
export type ImageFiles = ReadonlyMap<string, ImageEntry>;

/**
 * Writes a tar whose bytes depend on the contents only: sorted, owned by root, dated 1970.
 *
 * SIDE EFFECTS: writes `target`.
 */
export async function writeTar(
  target: string,
  files: ImageFiles,
  signal?: AbortSignal,
): Promise<{ readonly sha256: string; readonly bytes: number }> {
  const hash = createHash("sha256");
  let bytes = 0;
  const measure = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      bytes += chunk.length;
      done(null, chunk);
    },
  });
  const archive = pack();
  const writing = pipeline(archive, measure, createWriteStream(target), ...(signal === undefined ? [] : [{ signal }]));
  const filling = fill(archive, files).catch((error: unknown) => {
    archive.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  });
  await Promise.all([writing, filling]);
  return { sha256: hash.digest("hex"), bytes };
}

/** The same as a stream, for small sets of files. */
export function tarStream(files: ImageFiles): Readable {
  const archive = pack();
  fill(archive, files).catch((error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))));
  return Readable.from(archive);
}

async function fill(archive: Pack, files: ImageFiles): Promise<void> {
  const all = new Map<string, ImageEntry>(files);
  for (const path of files.keys()) {
    for (let folder = dirname(path); folder !== "/" && folder !== "."; folder = dirname(folder)) {
      if (!all.has(folder)) all.set(folder, { kind: "folder" });
    }
  }
  for (const path of [...all.keys()].sort()) {
    const entry = all.get(path);
    if (entry !== undefined) await add(archive, path.replace(/^\//, ""), entry);
  }
  archive.finalize();
}

type HeaderFields = Parameters<Pack["entry"]>[0];
const EPOCH = new Date(0);

async function add(archive: Pack, name: string, entry: ImageEntry): Promise<void> {
  const common = { name, mtime: EPOCH, uid: 0, gid: 0 };
  switch (entry.kind) {
    case "folder":
      return small(archive, { ...common, type: "directory", mode: entry.mode ?? 0o755 });
    case "link":
      return small(archive, { ...common, type: "symlink", linkname: entry.to, mode: 0o777 });
    case "text":
      return small(archive, { ...common, mode: entry.mode ?? 0o644 }, Buffer.from(entry.content));
    case "copy": {
      const { size, mode } = await stat(entry.from);
      const header: HeaderFields = { ...common, size, mode: entry.mode ?? mode & 0o777 };
      await new Promise<void>((resolve, reject) => {
        const sink = archive.entry(header, (error) => (error ? reject(error) : resolve()));
        pipeline(createReadStream(entry.from), sink).catch(reject);
      });
    }
  }
}

function small(archive: Pack, header: HeaderFields, content?: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null) => (error ? reject(error) : resolve());
    if (content === undefined) archive.entry(header, done);
    else archive.entry(header, content, done);
  });
}
