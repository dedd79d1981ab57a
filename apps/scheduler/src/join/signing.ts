import { createPrivateKey, createPublicKey, sign } from "node:crypto";

/** An Ed25519 key in PKCS #8 is this and its 32 bytes. @source RFC 8410, section 7 */
const PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");

export interface JoinKey {
  /** PEM, as `openssl pkeyutl -verify -pubin -inkey` takes it. */
  readonly publicPem: string;
  /** The 32 bytes of the public key in hexadecimal digits, for people to compare. */
  readonly fingerprint: string;
  sign(bytes: Buffer): Buffer;
}

/** @param seed - 32 bytes that only the owner of the workerpool can make, the same in each scheduler of the pool */
export function joinKey(seed: Uint8Array): JoinKey {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: "der", type: "pkcs8" });
  const publicKey = createPublicKey(key);
  return {
    publicPem: publicKey.export({ format: "pem", type: "spki" }).toString(),
    fingerprint: publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("hex"),
    sign: (bytes) => sign(null, bytes, key),
  };
}
