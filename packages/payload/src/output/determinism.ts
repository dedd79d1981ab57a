import {
  type Address,
  type Bytes32,
  callbackDigest,
  directoryDigest,
  type Hex,
  outputSegments,
  parseComputedFile,
  sameHex,
  ZERO_ADDRESS,
} from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { printableName } from "./names.ts";

/** What the digest is made of, as computed.json and the deal say. */
export type Determinism =
  | { readonly kind: "callback"; readonly data: Hex; readonly digest: Bytes32 }
  | { readonly kind: "file"; readonly path: string }
  /** `children`: the direct children that are files. */
  | { readonly kind: "folder"; readonly path: string; readonly children: readonly string[] };

export interface DeterminismInput {
  /** Bytes of computed.json, already bounded. */
  readonly computed: Uint8Array;
  /** Callback of the deal; zero when it has none. */
  readonly callback: Address;
  readonly callbackBytes: number;
  /** Relative paths of everything in the result. */
  readonly files: readonly string[];
  readonly folders: ReadonlySet<string>;
}

/**
 * Reads computed.json. A digest, signature or task id in it is ignored: on a standard task they are not the app's to say.
 * Errors: PAY-1212, PAY-1213, PAY-1214.
 * @source reference/compute.md 2.1, 2.3
 */
export function determinismOf({ computed, callback, callbackBytes, files, folders }: DeterminismInput): Determinism {
  const reading = parseComputedFile(decoded(computed));
  if (!reading.ok) throw new CodedError("PAY-1212", { reason: reading.reason });
  const { callbackData, deterministicOutputPath } = reading.file;
  return sameHex(callback, ZERO_ADDRESS) ? outputOf(deterministicOutputPath, files, folders) : callbackOf(callbackData, callbackBytes);
}

function decoded(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (thrown) {
    throw new CodedError("PAY-1212", { reason: "it is not UTF-8" }, { cause: thrown });
  }
}

function callbackOf(text: string | undefined, maxBytes: number): Determinism {
  if (text === undefined) throw new CodedError("PAY-1214", { reason: "there is none" });
  if (text.length > 2 * maxBytes + 2) throw new CodedError("PAY-1214", { reason: `it is longer than ${maxBytes} bytes` });
  const callback = callbackDigest(text);
  if (callback === undefined) throw new CodedError("PAY-1214", { reason: "it is empty" });
  return { kind: "callback", data: callback.bytes, digest: callback.digest };
}

function outputOf(text: string | undefined, files: readonly string[], folders: ReadonlySet<string>): Determinism {
  const shown = text === undefined ? "(none)" : printableName(text);
  const segments = text === undefined ? undefined : outputSegments(text);
  if (segments === undefined) throw new CodedError("PAY-1213", { path: shown, reason: "it is not inside /iexec_out" });
  const path = segments.join("/");
  if (files.includes(path)) return { kind: "file", path };
  if (!folders.has(path)) throw new CodedError("PAY-1213", { path: shown, reason: "it does not exist" });
  const prefix = path === "" ? "" : `${path}/`;
  return { kind: "folder", path, children: files.filter((file) => file.startsWith(prefix) && !file.slice(prefix.length).includes("/")) };
}

/** The files whose hash the digest needs. */
export function hashedPaths(determinism: Determinism): readonly string[] {
  switch (determinism.kind) {
    case "callback":
      return [];
    case "file":
      return [determinism.path];
    case "folder":
      return determinism.children;
  }
}

/** The digest, once the files have been hashed. Errors: PAY-1213 when a hash is missing. */
export function digestOf(determinism: Determinism, hashes: ReadonlyMap<string, Bytes32>): Bytes32 {
  const hashOf = (path: string): Bytes32 => {
    const hash = hashes.get(path);
    if (hash === undefined) throw new CodedError("PAY-1213", { path: printableName(path), reason: "it was not read" });
    return hash;
  };
  switch (determinism.kind) {
    case "callback":
      return determinism.digest;
    case "file":
      return hashOf(determinism.path);
    case "folder":
      return directoryDigest(determinism.children.map((path) => ({ name: path.slice(path.lastIndexOf("/") + 1), sha256: hashOf(path) })));
  }
}
