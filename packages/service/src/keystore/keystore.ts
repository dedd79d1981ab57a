import { randomUUID } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { privateKeyToAddress } from "viem/accounts";
import { isHex, toHex } from "viem/utils";
import { writeDurably } from "../durable-file.ts";
import { CodedError } from "../errors/coded-error.ts";
import { type Random, systemRandom } from "../random.ts";
import { Redacted } from "../redacted.ts";
import { decrypt, encrypt } from "./cipher.ts";
import { parseKeystore } from "./parse.ts";

type Hex = `0x${string}`;

export interface Wallet {
  /** Lower case. */
  readonly address: Hex;
  readonly privateKey: Redacted<Hex>;
}

export interface EncryptOptions {
  /** scrypt's N, a power of two: 262144 (geth's standard) unless told; 4096 is geth's light form, for tests. */
  readonly n?: number;
  readonly random?: Random;
}

const STANDARD_N = 262_144;
const MAX_FILE_BYTES = 128 * 1_024;
const IN_MEMORY = "the keystore";

const codeOf = (thrown: unknown): string => (thrown instanceof Error && "code" in thrown ? String(thrown.code) : String(thrown));

function addressOf(privateKey: Hex): Hex {
  try {
    return toLowerHex(privateKeyToAddress(privateKey));
  } catch {
    // The library's message shows the key.
    throw new CodedError("SVC-1309");
  }
}

const toLowerHex = (address: Hex): Hex => `0x${address.slice(2).toLowerCase()}`;

/**
 * Opens keystore JSON. Takes about 0.7 s and 256 MiB with geth's standard parameters, off the main thread.
 *
 * Errors: SVC-1301, SVC-1305, SVC-1306 (see `parseKeystore`), SVC-1302 wrong password, SVC-1304 the address in the file is another's.
 */
export async function openKeystore(text: string, password: string, path = IN_MEMORY): Promise<Wallet> {
  const keystore = parseKeystore(text, path);
  const key = await decrypt(keystore, password);
  if (key === undefined) throw new CodedError("SVC-1302", { path });
  const privateKey = toHex(key);
  key.fill(0);
  const address = addressOf(privateKey);
  const claimed = keystore.address;
  if (claimed !== undefined && claimed !== address) throw new CodedError("SVC-1304", { path, claimed, actual: address });
  return { address, privateKey: new Redacted(privateKey) };
}

/**
 * Opens a keystore file of geth, web3j, ethers, the iExec SDK or MetaMask tools.
 *
 * Errors: SVC-1303 unreadable, and those of `openKeystore`.
 * SIDE EFFECTS: reads the file.
 */
export async function readKeystore(path: string, password: string): Promise<Wallet> {
  return openKeystore(await readBounded(path), password, path);
}

async function readBounded(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > MAX_FILE_BYTES) throw new CodedError("SVC-1301", { path, reason: "it is too long" });
    return await readFile(path, "utf8");
  } catch (thrown) {
    if (thrown instanceof CodedError) throw thrown;
    throw new CodedError("SVC-1303", { path, reason: codeOf(thrown) }, { cause: thrown });
  }
}

/**
 * A version 3 keystore as JSON text, as geth writes it (lower case, no 0x).
 *
 * Errors: SVC-1309 not a private key.
 */
export async function encryptKeystore(privateKey: Hex, password: string, options: EncryptOptions = {}): Promise<string> {
  const { n = STANDARD_N, random = systemRandom } = options;
  if (!isHex(privateKey) || privateKey.length !== 66) throw new CodedError("SVC-1309");
  const address = addressOf(privateKey);
  const key = Buffer.from(privateKey.slice(2), "hex");
  const crypto = await encrypt(key, password, { n, salt: random.bytes(32), iv: random.bytes(16) });
  key.fill(0);
  return JSON.stringify({ address: address.slice(2), crypto, id: randomUUID(), version: 3 });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (thrown) {
    if (codeOf(thrown) === "ENOENT") return false;
    throw thrown;
  }
}

/**
 * Encrypts a key into a new file of mode 0600: written beside, synced, read back and opened with the password, and only then given its
 * name. A crash leaves either no file or a whole one.
 *
 * Errors: SVC-1307 the file exists, SVC-1308 it could not be written, SVC-1309 not a private key.
 * SIDE EFFECTS: creates the file.
 */
export async function writeKeystore(path: string, privateKey: Hex, password: string, options: EncryptOptions = {}): Promise<Wallet> {
  if (await exists(path).catch((thrown: unknown) => failed(path, thrown))) throw new CodedError("SVC-1307", { path });
  const text = await encryptKeystore(privateKey, password, options);
  const wanted = toLowerHex(privateKey);
  try {
    return await writeDurably(
      path,
      async (file) => {
        await file.writeFile(`${text}\n`);
        await file.sync();
        const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(MAX_FILE_BYTES), position: 0 });
        const wallet = await openKeystore(buffer.subarray(0, bytesRead).toString("utf8"), password, path);
        if (wallet.privateKey.reveal() !== wanted) throw new CodedError("SVC-1308", { path, reason: "the copy read back differs" });
        return wallet;
      },
      { exclusive: true },
    );
  } catch (thrown) {
    throw failed(path, thrown);
  }
}

function failed(path: string, thrown: unknown): never {
  if (thrown instanceof CodedError) throw thrown;
  if (codeOf(thrown) === "EEXIST") throw new CodedError("SVC-1307", { path });
  throw new CodedError("SVC-1308", { path, reason: codeOf(thrown) }, { cause: thrown });
}
