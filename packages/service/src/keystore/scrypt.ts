import { spawn } from "node:child_process";
import { scrypt as nodeScrypt, type ScryptOptions } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { promisify } from "node:util";

const inThreadPool = promisify<Uint8Array, Uint8Array, number, ScryptOptions, Buffer>(nodeScrypt);

const MEMORY_MARGIN_BYTES = 4 * 1_024 * 1_024;
/** From this much memory on, large pages save more than a process costs to start. */
const LARGE_BYTES = 64 * 1_024 * 1_024;

export interface ScryptParameters {
  readonly salt: Uint8Array;
  readonly n: number;
  readonly r: number;
  readonly p: number;
  readonly dklen: number;
}

/** OpenSSL keeps to RFC 7914 (N below 2^(16r)); the r=1 files of early clients do not, and geth opens them. */
const isBeyondOpenSsl = ({ n, r }: ScryptParameters): boolean => Math.log2(n) >= 16 * r;

const memoryOf = ({ n, r, p }: ScryptParameters): number => 128 * n * r + 128 * r * p + MEMORY_MARGIN_BYTES;

/** Reads one line of JSON, then writes the derived key. */
const CHILD = `
let text = "";
process.stdin.setEncoding("utf8").on("data", (part) => (text += part)).on("end", () => {
  const { password, salt, dklen, options } = JSON.parse(text);
  process.stdout.write(require("node:crypto").scryptSync(Buffer.from(password, "hex"), Buffer.from(salt, "hex"), dklen, options));
});`;

/**
 * scrypt, off the event loop.
 *
 * A large derivation (geth's standard takes 256 MiB) runs on Linux in a process of its own whose allocator asks for large pages, which only the
 * environment at its start can say: that takes half the time, and the memory goes back at once. The password goes through a pipe. Where the
 * process cannot start or fails, the thread pool does it. Parameters beyond OpenSSL run in small slices on the loop.
 *
 * SIDE EFFECTS: may start a short-lived process.
 */
export async function scrypt(password: Uint8Array, parameters: ScryptParameters): Promise<Buffer> {
  const { salt, n, r, p, dklen } = parameters;
  const maxmem = memoryOf(parameters);
  if (isBeyondOpenSsl(parameters)) {
    const { scryptAsync: slowScrypt } = await import("@noble/hashes/scrypt.js");
    return Buffer.from(await slowScrypt(password, salt, { N: n, r, p, dkLen: dklen, maxmem }));
  }
  const options = { N: n, r, p, maxmem };
  const derived = process.platform === "linux" && maxmem >= LARGE_BYTES ? await inOwnProcess(password, salt, dklen, options) : undefined;
  return derived ?? inThreadPool(password, salt, dklen, options);
}

/** Undefined when it could not be done there. */
async function inOwnProcess(password: Uint8Array, salt: Uint8Array, dklen: number, options: ScryptOptions): Promise<Buffer | undefined> {
  const child = spawn(process.execPath, ["-e", CHILD], {
    env: { GLIBC_TUNABLES: "glibc.malloc.hugetlb=1" },
    stdio: ["pipe", "pipe", "ignore"],
  });
  const failed = new Promise<undefined>((resolve) => child.once("error", () => resolve(undefined)));
  // A child that ended early closes its pipe; what it wrote, or did not, tells.
  child.stdin.on("error", () => undefined);
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
  child.stdin.end(JSON.stringify({ password: hex(password), salt: hex(salt), dklen, options }));
  const derived = await Promise.race([buffer(child.stdout).catch(() => undefined), failed]);
  return derived?.length === dklen ? derived : undefined;
}
