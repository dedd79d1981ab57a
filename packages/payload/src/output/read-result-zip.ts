import { type Address, type Bytes32, COMPUTED_JSON, type Hex } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { type Entry, openPromise, type ZipFile } from "yauzl";
import type { OutputLimits } from "../api.ts";
import { finishHash, sha256 } from "../hash.ts";
import { reasonOf } from "../reason.ts";
import { determinismOf, digestOf } from "./determinism.ts";
import { nameFault, printableName } from "./names.ts";

export interface ReadResult {
  readonly digest: Bytes32;
  /** Set only for deals with a callback. */
  readonly callbackData: Hex | undefined;
  readonly files: number;
  /** Sum of the unpacked files. */
  readonly bytes: number;
}

const ENCRYPTED = 0x1;
const UNIX_KIND = 0o170000;
const UNIX_FILE = 0o100000;
const UNIX_FOLDER = 0o040000;
const METHODS = new Set([0, 8]);

/**
 * Recomputes the digest of a result archive without unpacking it: each entry is streamed once through the hash, and nothing is written.
 * The archive is not trusted: sizes are counted while inflating, and names are checked as if they were going to be written.
 * Errors: PAY-1221 (not a zip), PAY-1222 (an entry that must not be unpacked), PAY-1205 to PAY-1209 (limits), PAY-1211 to PAY-1214.
 *
 * @param callback - callback of the deal; zero when it has none
 * @source reference/compute.md 2.3, 2.8; reference/services.md 3.1 (upload checks)
 */
export async function readResultZip(path: string, limits: OutputLimits, callback: Address, signal: AbortSignal): Promise<ReadResult> {
  const zip = await open(path);
  try {
    return await readAll(zip, limits, callback, signal);
  } catch (thrown) {
    signal.throwIfAborted();
    throw thrown instanceof CodedError ? thrown : new CodedError("PAY-1221", { reason: reasonOf(thrown) }, { cause: thrown });
  } finally {
    zip.close();
  }
}

async function open(path: string): Promise<ZipFile> {
  try {
    return await openPromise(path, { lazyEntries: true, autoClose: false, strictFileNames: true, validateEntrySizes: true });
  } catch (thrown) {
    throw new CodedError("PAY-1221", { reason: reasonOf(thrown) }, { cause: thrown });
  }
}

async function readAll(zip: ZipFile, limits: OutputLimits, callback: Address, signal: AbortSignal): Promise<ReadResult> {
  if (zip.entryCount > limits.entries) throw new CodedError("PAY-1205", { limit: limits.entries });
  const { files, folders } = await listEntries(zip, limits, signal);
  const hashes = new Map<string, Bytes32>();
  let computed: Buffer | undefined;
  let total = 0;
  for (const [path, entry] of files) {
    signal.throwIfAborted();
    const kept: Buffer[] = [];
    const hash = sha256();
    let bytes = 0;
    for await (const chunk of await zip.openReadStreamPromise(entry)) {
      const part: Buffer = chunk;
      bytes += part.byteLength;
      if (bytes > limits.fileBytes) throw new CodedError("PAY-1208", { path: printableName(path), limit: limits.fileBytes });
      if (total + bytes > limits.totalBytes) throw new CodedError("PAY-1209", { limit: limits.totalBytes });
      if (path === COMPUTED_JSON) {
        if (bytes > limits.computedJsonBytes)
          throw new CodedError("PAY-1212", { reason: `it is larger than ${limits.computedJsonBytes} bytes` });
        kept.push(part);
      }
      hash.update(part);
      signal.throwIfAborted();
    }
    total += bytes;
    hashes.set(path, finishHash(hash));
    if (path === COMPUTED_JSON) computed = Buffer.concat(kept);
  }
  if (computed === undefined) throw new CodedError("PAY-1211");
  const determinism = determinismOf({ computed, callback, callbackBytes: limits.callbackBytes, files: [...files.keys()], folders });
  return {
    digest: digestOf(determinism, hashes),
    callbackData: determinism.kind === "callback" ? determinism.data : undefined,
    files: files.size,
    bytes: total,
  };
}

async function listEntries(
  zip: ZipFile,
  limits: OutputLimits,
  signal: AbortSignal,
): Promise<{ readonly files: Map<string, Entry>; readonly folders: Set<string> }> {
  const files = new Map<string, Entry>();
  const folders = new Set([""]);
  let count = 0;
  for await (const entry of zip.eachEntry()) {
    signal.throwIfAborted();
    if (++count > limits.entries) throw new CodedError("PAY-1205", { limit: limits.entries });
    const isFolder = entry.fileName.endsWith("/");
    const path = isFolder ? entry.fileName.slice(0, -1) : entry.fileName;
    const refuse = (reason: string): CodedError => new CodedError("PAY-1222", { name: printableName(entry.fileName), reason });
    if (Buffer.byteLength(path) > limits.pathBytes) throw new CodedError("PAY-1207", { limit: limits.pathBytes });
    const segments = path.split("/");
    if (segments.length > limits.depth) throw new CodedError("PAY-1206", { limit: limits.depth });
    const fault = segments.map(nameFault).find((reason) => reason !== undefined);
    if (fault !== undefined) throw refuse(fault);
    if ((entry.generalPurposeBitFlag & ENCRYPTED) !== 0) throw refuse("it is encrypted");
    if (!METHODS.has(entry.compressionMethod)) throw refuse("it uses an unknown compression");
    const unixKind = (entry.externalFileAttributes >>> 16) & UNIX_KIND;
    if (unixKind !== 0 && unixKind !== (isFolder ? UNIX_FOLDER : UNIX_FILE)) throw refuse("it is a link or a device");
    if (files.has(path)) throw refuse("the name occurs twice");
    for (let at = 1; at < segments.length; at++) folders.add(segments.slice(0, at).join("/"));
    if (isFolder) folders.add(path);
    else files.set(path, entry);
  }
  for (const path of files.keys()) {
    if (folders.has(path)) throw new CodedError("PAY-1222", { name: printableName(path), reason: "it is a file and a folder" });
  }
  return { files, folders };
}
