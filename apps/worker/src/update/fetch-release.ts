import { createHash } from "node:crypto";
import { type FileHandle, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { appendTo, CodedError, openScope, writeDurably } from "@iexec-ts/service";
import { MANIFEST_NAME, type Manifest, openManifest, SIGNATURE_NAME } from "./release.ts";

const MANIFEST_BYTES = 256 * 1_024;
const SIGNATURE_BYTES = 1_024;
const CALL_MS = 30_000;
const FILE_MS = 600_000;

const failed = (url: string, thrown: unknown) =>
  thrown instanceof CodedError
    ? thrown
    : new CodedError("WRK-1702", { url, reason: thrown instanceof Error ? thrown.message : String(thrown) }, { cause: thrown });

const at = (base: string, path: string): string => new URL(path, base.endsWith("/") ? base : `${base}/`).href;

/** A body of at most `limit` bytes. Errors: WRK-1702, WRK-1703 when it is larger. */
async function body(url: string, limit: number, signal: AbortSignal): Promise<Readable> {
  const answer = await fetch(url, { signal, redirect: "error" });
  if (!answer.ok || answer.body === null) throw new Error(`it answered with ${answer.status}`);
  let seen = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _, done) {
      seen += chunk.length;
      if (seen > limit) done(new CodedError("WRK-1703", { url, reason: `more than the ${limit} bytes it may have` }));
      else done(null, chunk);
    },
  });
  const source = Readable.fromWeb(answer.body);
  source.on("error", (error) => bounded.destroy(error));
  return source.pipe(bounded);
}

async function bytesOf(url: string, limit: number, signal: AbortSignal): Promise<Buffer> {
  const parts: Buffer[] = [];
  using asking = openScope([signal], { ms: CALL_MS });
  for await (const part of await body(url, limit, asking.signal)) parts.push(part);
  return Buffer.concat(parts);
}

/** The newest release, proved to be its publisher's. Errors: WRK-1702, WRK-1703. */
export async function fetchManifest(
  { url, publicKey }: { readonly url: string; readonly publicKey: string },
  now: Date,
  signal: AbortSignal,
): Promise<Manifest> {
  const where = at(url, MANIFEST_NAME);
  try {
    const bytes = await bytesOf(where, MANIFEST_BYTES, signal);
    const signature = (await bytesOf(at(url, SIGNATURE_NAME), SIGNATURE_BYTES, signal)).toString("latin1");
    return openManifest({ bytes, signature, url: where }, publicKey, now);
  } catch (thrown) {
    signal.throwIfAborted();
    throw failed(where, thrown);
  }
}

/**
 * Downloads the files of a release, each checked against the manifest as it arrives.
 *
 * Errors: WRK-1702, WRK-1703 when a file is not the signed one. SIDE EFFECTS: writes below `folder`.
 */
export async function fetchFiles(base: string, { version, files }: Manifest, folder: string, signal: AbortSignal): Promise<void> {
  for (const { path, bytes, sha256 } of files) {
    const url = at(base, `${version}/${path}`);
    const target = join(folder, path);
    try {
      await mkdir(dirname(target), { recursive: true });
      const hash = createHash("sha256");
      const hashing = new Transform({
        transform(chunk: Buffer, _, done) {
          hash.update(chunk);
          done(null, chunk);
        },
      });
      const receive = async (file: FileHandle): Promise<void> => {
        using asking = openScope([signal], { ms: FILE_MS });
        const source = await body(url, bytes, asking.signal);
        await pipeline(source, hashing, appendTo(file));
      };
      await writeDurably(target, receive, { mode: 0o644 });
      if (hash.digest("hex") !== sha256) throw new CodedError("WRK-1703", { url, reason: "its content is not what was signed" });
    } catch (thrown) {
      signal.throwIfAborted();
      throw failed(url, thrown);
    }
  }
}
