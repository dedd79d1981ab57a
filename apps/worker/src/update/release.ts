import { createPublicKey, verify } from "node:crypto";
import { CodedError } from "@iexec-ts/service";
import { z } from "zod";

const VERSION_TEXT = /^(\d{1,6})\.(\d{1,6})\.(\d{1,6})$/;
/** Plain names below the folder of the version: no parent, no absolute path, no hidden file. */
const FILE_PATH = /^(?:[A-Za-z0-9_][A-Za-z0-9._-]*\/){0,4}[A-Za-z0-9_][A-Za-z0-9._-]*$/;
const MAX_FILES = 500;
const MAX_FILE_BYTES = 256 * 1_024 * 1_024;

export const MANIFEST_NAME = "latest.json";
export const SIGNATURE_NAME = "latest.json.sig";
export const PROGRAM_FILE = "iexec-worker.mjs";

/** What a publisher signs: one version of the worker, file by file. */
export const manifestSchema = z.strictObject({
  schema: z.literal(1),
  program: z.literal("iexec-worker"),
  version: z.string().regex(VERSION_TEXT),
  released: z.iso.datetime(),
  /** After this nobody should be given it any more. */
  expires: z.iso.datetime(),
  files: z
    .array(
      z.strictObject({
        path: z.string().max(200).regex(FILE_PATH),
        bytes: z.number().int().min(0).max(MAX_FILE_BYTES),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
      }),
    )
    .min(1)
    .max(MAX_FILES)
    .refine((files) => files.some(({ path }) => path === PROGRAM_FILE), `without ${PROGRAM_FILE}`)
    .refine((files) => new Set(files.map(({ path }) => path)).size === files.length, "one path twice"),
});

export type Manifest = z.output<typeof manifestSchema>;

/** -1, 0 or 1, as three numbers. */
export function compareVersions(left: string, right: string): number {
  const parts = (text: string) => (VERSION_TEXT.exec(text) ?? []).slice(1).map(Number);
  const [a, b] = [parts(left), parts(right)];
  for (const at of [0, 1, 2]) {
    const difference = (a[at] ?? -1) - (b[at] ?? -1);
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

/**
 * Reads a manifest that its publisher signed.
 *
 * @param bytes - exactly as they were served: the signature is over these, so nothing unsigned is parsed
 * @param signature - Ed25519, in base64
 * @param publicKey - PEM; the one this installation was made with
 * Errors: WRK-1703 with what is wrong.
 */
export function openManifest(
  { bytes, signature, url }: { readonly bytes: Buffer; readonly signature: string; readonly url: string },
  publicKey: string,
  now: Date,
): Manifest {
  const refuse = (reason: string): never => {
    throw new CodedError("WRK-1703", { url, reason });
  };
  if (!isSigned(bytes, signature, publicKey)) return refuse("its signature is not that of this installation's publisher");
  const parsed = manifestSchema.safeParse(jsonOf(bytes));
  if (!parsed.success) return refuse(`its manifest is malformed at ${parsed.error.issues[0]?.path.join(".") || "its root"}`);
  if (new Date(parsed.data.expires) < now) return refuse(`it expired on ${parsed.data.expires}`);
  return parsed.data;
}

function isSigned(bytes: Buffer, signature: string, publicKey: string): boolean {
  try {
    const key = createPublicKey(publicKey);
    return key.asymmetricKeyType === "ed25519" && verify(null, bytes, key, Buffer.from(signature.trim(), "base64"));
  } catch {
    // A key or signature that cannot be read proves nothing.
    return false;
  }
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    // Said by the schema, which refuses undefined.
    return undefined;
  }
}
