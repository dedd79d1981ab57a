import { createCipheriv, createDecipheriv, pbkdf2, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import { keccak256 } from "viem/utils";
import type { Keystore } from "./parse.ts";
import { scrypt } from "./scrypt.ts";

const pbkdf2Async = promisify(pbkdf2);

const KEY_BYTES = 32;
async function derive(crypto: Keystore["crypto"], password: Uint8Array): Promise<Buffer> {
  if (crypto.kdf === "scrypt") return scrypt(password, crypto.kdfparams);
  const { salt, c, dklen } = crypto.kdfparams;
  return pbkdf2Async(password, salt, c, dklen, "sha256");
}

/** @source Web3 Secret Storage Definition: mac = keccak256(derived[16..32] ++ ciphertext) */
const macOf = (derived: Buffer, ciphertext: Uint8Array): Uint8Array =>
  keccak256(Buffer.concat([derived.subarray(16, 32), ciphertext]), "bytes");

async function tryPassword({ crypto }: Keystore, password: string): Promise<Uint8Array | undefined> {
  const derived = await derive(crypto, Buffer.from(password, "utf8"));
  if (!timingSafeEqual(macOf(derived, crypto.ciphertext), crypto.mac)) return undefined;
  const decipher = createDecipheriv("aes-128-ctr", derived.subarray(0, 16), crypto.cipherparams.iv);
  const plain = Buffer.concat([decipher.update(crypto.ciphertext), decipher.final()]);
  const key = new Uint8Array(KEY_BYTES);
  key.set(plain, KEY_BYTES - plain.length);
  return key;
}

/**
 * The private key, or undefined when the password is wrong.
 *
 * geth and web3j use the password's UTF-8 bytes as they are; ethers normalises it (NFKC) first. We read both: the bytes as typed, then, when
 * that differs, the normalised form. Keys shorter than 32 bytes are padded on the left, as geth does.
 */
export async function decrypt(keystore: Keystore, password: string): Promise<Uint8Array | undefined> {
  const found = await tryPassword(keystore, password);
  const normalised = password.normalize("NFKC");
  return found ?? (normalised === password ? undefined : tryPassword(keystore, normalised));
}

export interface CipherParts {
  readonly salt: Uint8Array;
  readonly iv: Uint8Array;
  readonly n: number;
}

const R = 8;
const P = 1;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The `crypto` member of a new keystore, with geth's parameters. The password is used as typed, as geth does. */
export async function encrypt(key: Uint8Array, password: string, { salt, iv, n }: CipherParts): Promise<Readonly<Record<string, unknown>>> {
  const derived = await scrypt(Buffer.from(password, "utf8"), { salt, n, r: R, p: P, dklen: KEY_BYTES });
  const cipher = createCipheriv("aes-128-ctr", derived.subarray(0, 16), iv);
  const ciphertext = Buffer.concat([cipher.update(key), cipher.final()]);
  return {
    cipher: "aes-128-ctr",
    ciphertext: hex(ciphertext),
    cipherparams: { iv: hex(iv) },
    kdf: "scrypt",
    kdfparams: { dklen: KEY_BYTES, n, p: P, r: R, salt: hex(salt) },
    mac: hex(macOf(derived, ciphertext)),
  };
}
