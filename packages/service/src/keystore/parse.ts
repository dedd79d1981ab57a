import { z } from "zod";
import { CodedError } from "../errors/coded-error.ts";

/** Memory that a key derivation may take. geth's standard (N=262144, r=8) takes 256 MiB. */
const MAX_SCRYPT_BYTES = 1_024 * 1_024 * 1_024;
/** Work that a key derivation may take, as N*r*p: four times geth's standard. */
const MAX_SCRYPT_WORK = 2 ** 23;
const MAX_PBKDF2_ROUNDS = 10_000_000;
const MAX_KEYSTORE_CHARACTERS = 64 * 1_024;

const bytesOf = (min: number, max: number) =>
  z
    .string()
    .max(2 * max + 2)
    .transform((text) => text.replace(/^0x/i, ""))
    .pipe(z.string().regex(/^([0-9a-fA-F]{2})*$/, "not hexadecimal"))
    .transform((text) => new Uint8Array(Buffer.from(text, "hex")))
    .refine((bytes) => bytes.length >= min && bytes.length <= max, `must have ${min} to ${max} bytes`);

const powerOfTwo = (n: number): boolean => n > 1 && Number.isInteger(Math.log2(n));
const dklen = z.int().min(32).max(64);
const salt = bytesOf(1, 128);

const scryptSchema = z.object({
  kdf: z.literal("scrypt"),
  kdfparams: z
    .object({
      dklen,
      salt,
      n: z
        .int()
        .max(2 ** 24)
        .refine(powerOfTwo, "n must be a power of two"),
      r: z.int().min(1).max(64),
      p: z.int().min(1).max(64),
    })
    .refine(({ n, r }) => 128 * n * r <= MAX_SCRYPT_BYTES, "wants more memory than a wallet may take")
    .refine(({ n, r, p }) => n * r * p <= MAX_SCRYPT_WORK, "wants more work than a wallet may take"),
});

const pbkdf2Schema = z.object({
  kdf: z.literal("pbkdf2"),
  kdfparams: z.object({ dklen, salt, c: z.int().min(1).max(MAX_PBKDF2_ROUNDS), prf: z.literal("hmac-sha256") }),
});

const cipherSchema = z.object({
  cipher: z.literal("aes-128-ctr"),
  ciphertext: bytesOf(1, 32),
  cipherparams: z.object({ iv: bytesOf(16, 16) }),
  mac: bytesOf(32, 32),
});

const keystoreSchema = z.object({
  version: z.literal(3),
  address: z
    .string()
    .regex(/^(0x)?[0-9a-fA-F]{40}$/i, "not an address")
    .transform((text): `0x${string}` => `0x${text.slice(-40).toLowerCase()}`)
    .optional(),
  crypto: z.intersection(cipherSchema, z.discriminatedUnion("kdf", [scryptSchema, pbkdf2Schema])),
});

/** A version 3 keystore whose parameters are within bounds. */
export type Keystore = z.output<typeof keystoreSchema>;

const RAW_KEY = /^"?(0x)?[0-9a-fA-F]{64}"?$/;
const SEED_PHRASE = /^"?[a-z]{3,8}( +[a-z]{3,8}){11,23}"?$/;

/** ethers writes `Crypto`; a file with both members is refused as ambiguous. */
function withLowerCaseCrypto(parsed: unknown): unknown {
  if (typeof parsed !== "object" || parsed === null || !("Crypto" in parsed) || "crypto" in parsed) return parsed;
  const { Crypto: crypto, ...rest } = parsed;
  return { ...rest, crypto };
}

/**
 * Reads keystore JSON, and recognises what people put there by mistake. Parameters are bounded, so that a hostile file can take neither
 * memory nor minutes.
 *
 * Errors: SVC-1301 not a keystore, SVC-1305 a raw private key or seed phrase (never printed), SVC-1306 the placeholder text.
 *
 * @param path - for messages only
 * @source Web3 Secret Storage Definition, version 3
 */
export function parseKeystore(text: string, path: string): Keystore {
  const content = text.replace(/^\uFEFF/, "").trim();
  if (content.length > MAX_KEYSTORE_CHARACTERS) throw new CodedError("SVC-1301", { path, reason: "it is too long" });
  if (content.includes("PASTE_YOUR_WALLET_HERE")) throw new CodedError("SVC-1306", { path });
  if (RAW_KEY.test(content)) throw new CodedError("SVC-1305", { path, kind: "private key" });
  if (SEED_PHRASE.test(content)) throw new CodedError("SVC-1305", { path, kind: "seed phrase" });
  let parsed: unknown;
  try {
    parsed = JSON.parse(content);
  } catch {
    // The parser's message quotes the content, which may be a secret: it is neither kept nor shown.
    throw new CodedError("SVC-1301", { path, reason: content === "" ? "it is empty" : "it is not JSON" });
  }
  if (typeof parsed === "object" && parsed !== null && "privateKey" in parsed)
    throw new CodedError("SVC-1305", { path, kind: "private key" });
  const result = keystoreSchema.safeParse(withLowerCaseCrypto(parsed));
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? "" : `${issue.path.join(".")}: `;
  throw new CodedError("SVC-1301", { path, reason: `${where}${issue?.message ?? "unknown form"}` });
}
