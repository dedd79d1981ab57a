import { JacksonMismatch, jacksonString, readJacksonObject } from "./jackson.ts";
import { CONTAINER_OUTPUT } from "./task-environment.ts";

/** Name of the file an app leaves in its output folder to say where its result is. */
export const COMPUTED_JSON = "computed.json";
/** Longest `computed.json` this code base reads, in UTF-16 units; callback data is most of it. */
export const MAX_COMPUTED_JSON_LENGTH = 4 * 1024 * 1024;

/** What an app, or a TEE stage, says about its result. */
export interface ComputedFile {
  /** Path inside the container of the file or folder to hash. */
  readonly deterministicOutputPath: string | undefined;
  /** Hex, by Java's rules: see `callbackDigest`. */
  readonly callbackData: string | undefined;
  readonly taskId: string | undefined;
  readonly resultDigest: string | undefined;
  readonly enclaveSignature: string | undefined;
  readonly errorMessage: string | undefined;
}

export type ComputedFileReading =
  | { readonly ok: true; readonly file: ComputedFile }
  | { readonly ok: false; readonly reason: "TOO_LONG" | "NOT_AN_OBJECT" | "WRONG_TYPE" };

/**
 * Reads `computed.json` as the Java peers do: unknown keys are ignored, numbers and booleans are taken as text.
 *
 * @source compute.md 2.1
 */
export function parseComputedFile(text: string): ComputedFileReading {
  if (text.length > MAX_COMPUTED_JSON_LENGTH) return { ok: false, reason: "TOO_LONG" };
  const members = readJacksonObject(text);
  if (members === undefined) return { ok: false, reason: "NOT_AN_OBJECT" };
  const read = (key: string): string | undefined => jacksonString(members.get(key) ?? null) ?? undefined;
  try {
    return {
      ok: true,
      file: {
        deterministicOutputPath: read("deterministic-output-path"),
        callbackData: read("callback-data"),
        taskId: read("task-id"),
        resultDigest: read("result-digest"),
        enclaveSignature: read("enclave-signature"),
        errorMessage: read("error-message"),
      },
    };
  } catch (error) {
    if (error instanceof JacksonMismatch) return { ok: false, reason: "WRONG_TYPE" };
    throw error;
  }
}

/**
 * What remains of a standard app's file: digest, signature and task id are for TEE stages to say, and an app that sets them would choose
 * its own digest. The Java worker trusts them; its result proxy then refuses the upload.
 *
 * @source compute.md 2.1, 2.2
 */
export function standardComputedFile(file: ComputedFile): ComputedFile {
  return { ...file, taskId: undefined, resultDigest: undefined, enclaveSignature: undefined };
}

/** The text of a `computed.json`, in the key order of the Java worker; absent members are left out. */
export function formatComputedFile(file: Partial<ComputedFile>): string {
  return JSON.stringify({
    "deterministic-output-path": file.deterministicOutputPath,
    "callback-data": file.callbackData,
    "task-id": file.taskId,
    "result-digest": file.resultDigest,
    "enclave-signature": file.enclaveSignature,
    "error-message": file.errorMessage,
  });
}

/**
 * Segments of a deterministic output path below the output folder; none: the folder itself.
 *
 * @returns undefined for a path that is empty, is not below `/iexec_out`, or leaves it. Java glues such a path to a host folder.
 * @source compute.md 2.1, 2.3
 */
export function outputSegments(path: string): readonly string[] | undefined {
  if (path.includes("\0")) return undefined;
  if (path !== CONTAINER_OUTPUT && !path.startsWith(`${CONTAINER_OUTPUT}/`)) return undefined;
  const segments = path
    .slice(CONTAINER_OUTPUT.length)
    .split("/")
    .filter((segment) => segment !== "" && segment !== ".");
  return segments.includes("..") ? undefined : segments;
}
