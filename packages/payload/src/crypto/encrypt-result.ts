import { constants, createCipheriv, createPublicKey, type KeyObject, publicEncrypt, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { CodedError } from "@iexec-ts/service";
import { writeZip, type ZipFile } from "../output/zip-writer.ts";
import { reasonOf } from "../reason.ts";

export interface EncryptRequest {
  /** The plain `iexec_out.zip`. */
  readonly source: string;
  readonly target: string;
  /** base64 of the PEM (SubjectPublicKeyInfo), as the secret service keeps it. */
  readonly publicKey: string;
}

/**
 * Encrypts a result for its beneficiary: a zip with `aes-key.rsa` (RSA PKCS#1 v1.5 of the raw AES key) and `iexec_out.zip.aes` (IV, then
 * AES-256-CBC of the result zip), both at the root as `iexec result decrypt` expects them. Streaming.
 * Errors: PAY-1123.
 *
 * SIDE EFFECTS: creates or replaces `target`; takes a random key and IV.
 * @param random - source of random bytes; the system's by default
 * @source reference/services.md 4.2
 */
export async function encryptResult(
  request: EncryptRequest,
  signal: AbortSignal,
  random: (bytes: number) => Buffer = randomBytes,
): Promise<ZipFile> {
  const publicKey = rsaKey(request.publicKey);
  const key = random(32);
  const iv = random(16);
  const wrapped = publicEncrypt({ key: publicKey, padding: constants.RSA_PKCS1_PADDING }, key);
  const encrypted = async function* (): AsyncGenerator<Buffer> {
    const cipher = createCipheriv("aes-256-cbc", key, iv);
    yield iv;
    for await (const chunk of createReadStream(request.source, { signal, highWaterMark: 1 << 18 })) yield cipher.update(chunk);
    yield cipher.final();
  };
  try {
    return await writeZip(
      request.target,
      [
        { name: "aes-key.rsa", open: () => [wrapped] },
        { name: "iexec_out.zip.aes", open: encrypted },
      ],
      signal,
    );
  } catch (thrown) {
    signal.throwIfAborted();
    if (thrown instanceof CodedError) throw thrown;
    throw new CodedError("PAY-1123", { reason: reasonOf(thrown) }, { cause: thrown });
  }
}

function rsaKey(base64: string): KeyObject {
  try {
    const key = createPublicKey(Buffer.from(base64, "base64").toString("utf8"));
    if (key.asymmetricKeyType === "rsa" && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048) return key;
  } catch (thrown) {
    throw new CodedError("PAY-1123", { reason: "the public key cannot be read" }, { cause: thrown });
  }
  throw new CodedError("PAY-1123", { reason: "the public key is not RSA with at least 2048 bits" });
}
