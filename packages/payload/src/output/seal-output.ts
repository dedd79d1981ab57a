import { type Bytes32, COMPUTED_JSON } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import type { OutputLimits, SealOutput } from "../api.ts";
import { finishHash, sha256 } from "../hash.ts";
import { reasonOf } from "../reason.ts";
import { determinismOf, digestOf, hashedPaths } from "./determinism.ts";
import { printableName } from "./names.ts";
import { readTreeFile, readWholeTreeFile } from "./read-file.ts";
import { type Tree, walkOutput } from "./walk.ts";
import { writeZip, type ZipEntry } from "./zip-writer.ts";

/** The output as it will be sealed: the app's files, with the worker's own laid over them. */
type Contents = ReadonlyMap<string, () => AsyncIterable<Buffer> | Iterable<Buffer>>;

/**
 * Turns the app's output folder into what the protocol needs: the digest that is contributed and the zip that is uploaded. Each file is
 * read once, for both. The tree is not trusted: nothing in it is followed, waited for, or written to.
 *
 * The zip depends on names and contents only, so sealing again after a crash gives the same bytes. `stdout.txt` and `stderr.txt` of the
 * worker take the place of the app's own and count in the digest.
 * Errors: PAY-1201 (POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME), PAY-1202 to PAY-1210 and PAY-1216 (the tree), PAY-1211
 * (POST_COMPUTE_COMPUTED_FILE_NOT_FOUND), PAY-1212 to PAY-1214 (POST_COMPUTE_RESULT_DIGEST_COMPUTATION_FAILED), PAY-1215, PAY-1217
 * (POST_COMPUTE_OUT_FOLDER_ZIP_FAILED).
 *
 * SIDE EFFECTS: creates or replaces `zipPath`, atomically.
 * @source reference/compute.md 2.1 to 2.3, 2.8, 6.6
 */
export const sealOutput: SealOutput = async ({ outDir, zipPath, callback, limits, extras, onAlive }, signal) => {
  const tree = await walkOutput(outDir, limits, signal);
  const computed = await readComputed(tree, limits);
  const contents = overlay(tree, computed, { "stdout.txt": extras.stdout, "stderr.txt": extras.stderr }, limits);
  const determinism = determinismOf({
    computed,
    callback,
    callbackBytes: limits.callbackBytes,
    files: [...contents.keys()],
    folders: tree.folders,
  });

  const wanted = new Set(hashedPaths(determinism));
  const hashes = new Map<string, Bytes32>();
  const entries = [...contents.keys()].sort().map((path): ZipEntry => {
    const open = contents.get(path) ?? (() => []);
    return { name: path, open: wanted.has(path) ? () => hashing(open(), (hash) => hashes.set(path, hash)) : open };
  });
  const zip = await zipOrThrow(zipPath, entries, signal, onAlive);
  return {
    digest: digestOf(determinism, hashes),
    callbackData: determinism.kind === "callback" ? determinism.data : undefined,
    zip,
    files: entries.length,
  };
};

async function readComputed(tree: Tree, limits: OutputLimits): Promise<Buffer> {
  const file = tree.files.get(COMPUTED_JSON);
  if (file === undefined) {
    if (tree.folders.has(COMPUTED_JSON)) throw new CodedError("PAY-1212", { reason: "it is a folder" });
    throw new CodedError("PAY-1211");
  }
  if (file.bytes > limits.computedJsonBytes)
    throw new CodedError("PAY-1212", { reason: `it is larger than ${limits.computedJsonBytes} bytes` });
  return await readWholeTreeFile(file);
}

function overlay(tree: Tree, computed: Buffer, extras: Readonly<Record<string, string | undefined>>, limits: OutputLimits): Contents {
  const contents = new Map<string, () => AsyncIterable<Buffer> | Iterable<Buffer>>();
  for (const [path, file] of tree.files) contents.set(path, () => readTreeFile(file));
  contents.set(COMPUTED_JSON, () => [computed]);
  let total = 0;
  for (const file of tree.files.values()) total += file.bytes;
  for (const [name, text] of Object.entries(extras)) {
    if (text === undefined || text === "") continue;
    if (tree.folders.has(name))
      throw new CodedError("PAY-1204", { name: printableName(name), reason: "a folder has the name of a file the worker adds" });
    const bytes = Buffer.from(text, "utf8");
    if (bytes.byteLength > limits.fileBytes) throw new CodedError("PAY-1208", { path: printableName(name), limit: limits.fileBytes });
    total += bytes.byteLength - (tree.files.get(name)?.bytes ?? 0);
    contents.set(name, () => [bytes]);
  }
  if (total > limits.totalBytes) throw new CodedError("PAY-1209", { limit: limits.totalBytes });
  return contents;
}

async function* hashing(source: AsyncIterable<Buffer> | Iterable<Buffer>, done: (hash: Bytes32) => void): AsyncGenerator<Buffer> {
  const hash = sha256();
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
  done(finishHash(hash));
}

async function zipOrThrow(...[path, entries, signal, onAlive]: Parameters<typeof writeZip>): ReturnType<typeof writeZip> {
  try {
    return await writeZip(path, entries, signal, onAlive);
  } catch (thrown) {
    signal.throwIfAborted();
    if (thrown instanceof CodedError) throw thrown;
    throw new CodedError("PAY-1215", { file: path, reason: reasonOf(thrown) }, { cause: thrown });
  }
}
