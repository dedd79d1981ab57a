import { execFile } from "node:child_process";
import { constants, createDecipheriv, createHash, generateKeyPairSync, privateDecrypt, randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CodedError } from "@iexec-ts/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fromBufferPromise } from "yauzl";
import { decryptDataset, decryptOpensslDataset } from "./decrypt-dataset.ts";
import { encryptResult } from "./encrypt-result.ts";

const run = promisify(execFile);
const never = new AbortController().signal;
let dir: string;
const at = (name: string): string => join(dir, name);
const code = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => "done",
    (thrown: unknown) => (thrown instanceof CodedError ? thrown.code : thrown),
  );

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "payload-"));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const V9 = {
  key: "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=",
  encrypted: "0f0e0d0c0b0a09080706050403020100ac4d84a183121085eb5db342b679850879b52dc3fd4022bf97acf5c7a62151c5",
  checksum: "658c4f6c2e488d47fe0c065e91f7faa693e5b3ecc0e7a6943cfecd274545a5ee",
};

test("vector V9: a dataset of the 9.x format", async () => {
  const encrypted = Buffer.from(V9.encrypted, "hex");
  expect(createHash("sha256").update(encrypted).digest("hex")).toBe(V9.checksum);
  await writeFile(at("d.enc"), encrypted);
  let signs = 0;
  const onAlive = () => {
    signs += 1;
  };
  await decryptDataset({ source: at("d.enc"), target: at("d"), key: V9.key, onAlive }, never);
  expect(await readFile(at("d"), "utf8")).toBe("plain dataset content\n");
  expect(signs).toBe(1);
});

test.each([
  ["another key", V9.encrypted, Buffer.alloc(32, 1).toString("base64"), "PAY-1121"],
  ["a file that is too short", "0f0e", V9.key, "PAY-1121"],
  ["a cut file", V9.encrypted.slice(0, -2), V9.key, "PAY-1121"],
  ["a key of the wrong length", V9.encrypted, Buffer.alloc(16).toString("base64"), "PAY-1122"],
  ["a key that is not base64", V9.encrypted, "hello", "PAY-1122"],
])("refuses %s and leaves no plaintext", async (_name, encrypted, key, expected) => {
  await writeFile(at("d.enc"), Buffer.from(encrypted, "hex"));
  expect(await code(decryptDataset({ source: at("d.enc"), target: at("d"), key }, never))).toBe(expected);
  expect(await readdir(dir)).toEqual(["d.enc"]);
});

test("reads what openssl wrote for the 3.x format", async () => {
  const plain = randomBytes(3_500_003);
  await writeFile(at("plain"), plain);
  await writeFile(at("secret"), "correct horse\nsecond line is ignored\n");
  await run("openssl", ["enc", "-aes-256-cbc", "-pbkdf2", "-kfile", at("secret"), "-in", at("plain"), "-out", at("enc")]);
  const passphrase = await readFile(at("secret"), "utf8");
  await decryptOpensslDataset({ source: at("enc"), target: at("out"), passphrase }, never);
  expect((await readFile(at("out"))).equals(plain)).toBe(true);
  expect(await code(decryptOpensslDataset({ source: at("plain"), target: at("out2"), passphrase }, never))).toBe("PAY-1121");
  expect(await code(decryptOpensslDataset({ source: at("enc"), target: at("out3"), passphrase: "" }, never))).toBe("PAY-1122");
});

test("a result is encrypted so that the beneficiary's private key opens it", async () => {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const plain = randomBytes(700_001);
  await writeFile(at("iexec_out.zip"), plain);
  const request = { source: at("iexec_out.zip"), target: at("enc.zip"), publicKey: Buffer.from(pem).toString("base64") };
  const sealed = await encryptResult(request, never);
  const bytes = await readFile(at("enc.zip"));
  expect(sealed).toEqual({ path: at("enc.zip"), bytes: bytes.byteLength, sha256: `0x${createHash("sha256").update(bytes).digest("hex")}` });

  const entries = new Map<string, Buffer>();
  const zip = await fromBufferPromise(bytes, { lazyEntries: true });
  for await (const entry of zip.eachEntry()) {
    const parts: Buffer[] = [];
    for await (const part of await zip.openReadStreamPromise(entry)) parts.push(part);
    entries.set(entry.fileName, Buffer.concat(parts));
  }
  expect([...entries.keys()]).toEqual(["aes-key.rsa", "iexec_out.zip.aes"]);
  const wrapped = entries.get("aes-key.rsa") ?? Buffer.alloc(0);
  const aes = entries.get("iexec_out.zip.aes") ?? Buffer.alloc(0);
  const key = privateDecrypt({ key: privateKey, padding: constants.RSA_PKCS1_PADDING }, wrapped);
  expect([wrapped.byteLength, key.byteLength]).toEqual([256, 32]);
  const decipher = createDecipheriv("aes-256-cbc", key, aes.subarray(0, 16));
  expect(Buffer.concat([decipher.update(aes.subarray(16)), decipher.final()]).equals(plain)).toBe(true);
});

test.each([
  ["text", "hello"],
  ["an elliptic key", generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "pem" }).toString()],
  ["a short key", generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey.export({ type: "spki", format: "pem" }).toString()],
])("refuses %s as the beneficiary's key", async (_name, pem) => {
  await writeFile(at("in"), "x");
  const request = { source: at("in"), target: at("out"), publicKey: Buffer.from(pem).toString("base64") };
  expect(await code(encryptResult(request, never))).toBe("PAY-1123");
});

test("says so when the result is not there", async () => {
  const { publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
  const request = { source: at("absent"), target: at("out"), publicKey: Buffer.from(pem).toString("base64") };
  expect(await code(encryptResult(request, never))).toBe("PAY-1123");
  expect(await readdir(dir)).toEqual([]);
});
