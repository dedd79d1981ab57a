import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { type Bytes32, inputFileName } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import type { FetchPolicy } from "../api.ts";
import { hashFile } from "../hash.ts";
import { printableUrl } from "./dataset-uri.ts";
import { type Download, type FetchDeps, fetchVerified, systemDeps } from "./fetch-to-file.ts";

/** What `java.net.URI` refuses in a URL; the Java worker fails such input files, and so must we. */
const ILLEGAL_IN_URI = /[\s"<>\\^`{|}]|%(?![0-9A-Fa-f]{2})|\p{Cc}/u;

export interface DatasetRequest {
  /** An http(s) URL or an `/ipfs/...` path: what `datasetUriOf` returns. */
  readonly uri: string;
  /** sha256 registered on chain. All zeros never match, as in the Java worker. */
  readonly checksum: Bytes32;
  readonly target: string;
}

export interface InputFile extends Download {
  readonly url: string;
  readonly name: string;
  readonly path: string;
}

export interface InputFilesOptions {
  /** `sha256`: `0x` and the hash of the URL (9.x). `segment`: last part of the URL (3.x). Default `sha256`. */
  readonly names?: "sha256" | "segment";
  /** Bound on the sum of all files, in bytes. Default 8 GiB. */
  readonly maxTotalBytes?: number;
}

const EIGHT_GIB = 8 * 1024 ** 3;

/**
 * Downloads a dataset and compares it with its on-chain checksum; `/ipfs/...` goes to the next gateway on an error and on wrong bytes.
 * A file that is already there with the right checksum is kept, so the call may be repeated after a crash.
 * Errors: PAY-1109 (DATASET_FILE_BAD_CHECKSUM); everything else of `fetchToFile` is DATASET_FILE_DOWNLOAD_FAILED.
 *
 * SIDE EFFECTS: writes `target`; HTTP requests.
 * @source reference/compute.md 3.1, 3.2
 */
export async function downloadDataset(
  { uri, checksum, target }: DatasetRequest,
  policy: FetchPolicy,
  signal: AbortSignal,
  deps: Partial<FetchDeps> = {},
): Promise<Download> {
  const expected = checksum.toLowerCase();
  const present = await lstat(target).catch(() => undefined);
  if (present?.isFile() && present.size > 0 && (await hashFile(target, signal)) === expected) {
    return { bytes: present.size, sha256: checksum };
  }
  return await fetchVerified(
    uri,
    target,
    policy,
    { ...systemDeps, ...deps },
    ({ sha256: actual }, url) => {
      if (actual !== expected) throw new CodedError("PAY-1109", { url: printableUrl(url), actual, expected });
    },
    signal,
  );
}

/** Name of an input file of a 3.x task: the last part of the URL, query included. Errors: PAY-1101. */
export function inputFileNameV3(url: string): string {
  const name = url.slice(url.lastIndexOf("/") + 1);
  if (name === "" || name === "." || name === ".." || name.includes("\0")) {
    throw new CodedError("PAY-1101", { url: printableUrl(url), reason: "it has no file name" });
  }
  return name;
}

/**
 * Downloads the input files of a deal into `directory`, one after the other; the first failure ends it. The same URL twice is one file.
 * Errors: those of `fetchToFile`, PAY-1112; all of them are INPUT_FILES_DOWNLOAD_FAILED.
 *
 * SIDE EFFECTS: writes files; HTTP requests.
 * @source reference/compute.md 3.2, 3.3
 */
export async function downloadInputFiles(
  urls: readonly string[],
  directory: string,
  policy: FetchPolicy,
  signal: AbortSignal,
  options: InputFilesOptions = {},
  deps: Partial<FetchDeps> = {},
): Promise<readonly InputFile[]> {
  const limit = options.maxTotalBytes ?? EIGHT_GIB;
  const done = new Map<string, InputFile>();
  let total = 0;
  for (const url of urls) {
    if (done.has(url)) continue;
    if (url.startsWith("/") || ILLEGAL_IN_URI.test(url)) {
      throw new CodedError("PAY-1101", { url: printableUrl(url), reason: "not a valid http or https URL" });
    }
    const name = options.names === "segment" ? inputFileNameV3(url) : inputFileName(url);
    const path = join(directory, name);
    const left = limit - total;
    if (left <= 0) throw new CodedError("PAY-1112", { limit });
    const bounded = { ...policy, limits: { ...policy.limits, maxBytes: Math.min(policy.limits.maxBytes, left) } };
    const file = await fetchVerified(url, path, bounded, { ...systemDeps, ...deps }, () => undefined, signal);
    total += file.bytes;
    done.set(url, { ...file, url, name, path });
  }
  return [...done.values()];
}
