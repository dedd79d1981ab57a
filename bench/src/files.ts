import { execFile } from "node:child_process";
import { createCipheriv, randomBytes } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { decryptDataset, sealOutput } from "@iexec-ts/payload";
import { ZERO_ADDRESS } from "@iexec-ts/poco";

const run = promisify(execFile);
const MIB = 1_024 * 1_024;
const LIMITS = {
  entries: 100,
  depth: 8,
  pathBytes: 512,
  fileBytes: 4_096 * MIB,
  totalBytes: 8_192 * MIB,
  computedJsonBytes: MIB,
  callbackBytes: MIB,
};

/** What earlier work left to be written is on the disk before the watch starts, so that nobody pays for another. */
async function timed(work: () => Promise<unknown>): Promise<number> {
  await run("sync");
  const from = performance.now();
  await work();
  return performance.now() - from;
}

/** Half noise, half text, as results often are. */
async function* mixed(bytes: number): AsyncIterable<Buffer> {
  const text = Buffer.alloc(MIB / 2, "the quick brown fox jumps over the lazy dog, 0123456789; ");
  for (let written = 0; written < bytes; written += MIB) yield Buffer.concat([randomBytes(MIB / 2), text]);
}

/**
 * Our digest and zip of an output against `sha256sum` followed by `zip`, on the same file in the same run.
 *
 * @returns reference time / our time, one per round: above 1 we are faster
 */
export async function zipHashRatios(bytes: number, rounds: number): Promise<readonly number[]> {
  const dir = await mkdtemp(join(tmpdir(), "bench-zip-"));
  try {
    const out = join(dir, "iexec_out");
    await mkdir(out);
    await pipeline(Readable.from(mixed(bytes)), createWriteStream(join(out, "result.bin")));
    await writeFile(join(out, "computed.json"), '{"deterministic-output-path":"/iexec_out/result.bin"}');
    const ratios: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const ours = await timed(() =>
        sealOutput(
          {
            outDir: out,
            zipPath: join(dir, "ours.zip"),
            callback: ZERO_ADDRESS,
            limits: LIMITS,
            extras: { stdout: undefined, stderr: undefined },
          },
          AbortSignal.timeout(600_000),
        ),
      );
      const reference = await timed(async () => {
        await run("sha256sum", [join(out, "result.bin")]);
        await run("zip", ["-q", "-r", join(dir, "theirs.zip"), "."], { cwd: out });
      });
      await rm(join(dir, "theirs.zip"));
      ratios.push(reference / ours);
    }
    return ratios;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Our dataset decryption against `openssl enc -d`, on the same file in the same run. @returns reference time / our time */
export async function decryptRatios(bytes: number, rounds: number): Promise<readonly number[]> {
  const dir = await mkdtemp(join(tmpdir(), "bench-decrypt-"));
  try {
    const key = randomBytes(32);
    const iv = randomBytes(16);
    const encrypted = join(dir, "dataset.enc");
    const body = join(dir, "dataset.body");
    await pipeline(Readable.from(mixed(bytes)), createCipheriv("aes-256-cbc", key, iv), createWriteStream(body));
    await writeFile(encrypted, iv);
    await pipeline(createReadStream(body), createWriteStream(encrypted, { flags: "a" }));
    const ours = () =>
      timed(() =>
        decryptDataset({ source: encrypted, target: join(dir, "ours"), key: key.toString("base64") }, AbortSignal.timeout(600_000)),
      );
    const words = [
      "enc",
      "-d",
      "-aes-256-cbc",
      "-K",
      key.toString("hex"),
      "-iv",
      iv.toString("hex"),
      "-in",
      body,
      "-out",
      join(dir, "theirs"),
    ];
    const theirs = () => timed(() => run("openssl", words));
    const ratios: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      // Each is first in turn, and finds no file of an earlier round to replace.
      const order = round % 2 === 0 ? [ours, theirs] : [theirs, ours];
      const spent = new Map<() => Promise<number>, number>();
      for (const side of order) spent.set(side, await side());
      ratios.push((spent.get(theirs) ?? 0) / (spent.get(ours) ?? 0));
      await Promise.all(["ours", "theirs"].map((name) => rm(join(dir, name))));
    }
    return ratios;
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
