import { createReadStream } from "node:fs";
import { mkdir, readdir, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { Hub } from "@iexec-ts/chain";
import { type IpfsStore, type OutputLimits, readResultZip } from "@iexec-ts/payload";
import type { Address, Bytes32, Hex, TaskId } from "@iexec-ts/poco";
import { type Clock, CodedError, openScope, orAborted, type Random, writeDurably } from "@iexec-ts/service";
import { checkDigest, checkEnclave, checkUploader, type Upload } from "./checks.ts";
import type { ResultsStore, StoredResult } from "./results-store.ts";

/** What a TEE upload says about itself; a standard one is recomputed, whatever it says. */
export interface EnclaveClaim {
  readonly digest: Bytes32;
  readonly signature: Hex;
}

export interface UploadRequest {
  readonly taskId: TaskId;
  /** The wallet of the token. */
  readonly wallet: Address;
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Announced size, if any. */
  readonly length: number | undefined;
  readonly claim: EnclaveClaim | undefined;
}

export interface UploadOutcome {
  readonly result: StoredResult;
  /** False when the result was there before. */
  readonly isNew: boolean;
}

export interface UploadsDeps {
  readonly hub: Hub;
  readonly store: ResultsStore;
  readonly ipfs: IpfsStore;
  readonly random: Random;
  readonly clock: Clock;
}

export interface UploadsOptions {
  readonly dir: string;
  readonly maxArchiveBytes: number;
  /** An upload of which nothing comes for so many milliseconds is given up. */
  readonly idleMs: number;
  readonly limits: OutputLimits;
}

export interface Uploads {
  /** The stored result of a task whose content is really there. */
  find(taskId: TaskId): Promise<StoredResult | undefined>;
  /**
   * Takes a result: checks the uploader on chain, receives the archive, recomputes its digest, stores it, and remembers where it is. The
   * same result again is answered with the stored one. A crash at any point leaves no trace but unused blocks; the upload is repeated.
   * Errors: PRX-1003, PRX-1004, PRX-1010 to PRX-1018, PAY-12xx (the archive), PAY-13xx (the IPFS store), PRX-1030.
   * SIDE EFFECTS: writes a temporary file, the IPFS store and the database.
   */
  take(request: UploadRequest, signal: AbortSignal): Promise<UploadOutcome>;
  /** Removes what crashed uploads have left. */
  sweep(): Promise<void>;
}

const DISK_RESERVE_BYTES = 256 * 1024 * 1024;
const STALE_MS = 24 * 3_600_000;

export function createUploads(options: UploadsOptions, { hub, store, ipfs, random, clock }: UploadsDeps): Uploads {
  const find = async (taskId: TaskId): Promise<StoredResult | undefined> => {
    const known = await store.find(taskId);
    return known !== undefined && (await ipfs.stat(known.cid)) !== undefined ? known : undefined;
  };

  const verify = async (upload: Upload, path: string, claim: EnclaveClaim | undefined, signal: AbortSignal): Promise<Bytes32> => {
    if (upload.kind === "standard") {
      const { digest } = await readResultZip(path, options.limits, upload.deal.callback, signal);
      checkDigest(upload, digest);
      return digest;
    }
    if (claim === undefined) throw new CodedError("PRX-1013", { taskId: upload.taskId });
    await checkEnclave(upload, claim.digest, claim.signature, await store.enclaveOf(upload.taskId, upload.worker));
    return claim.digest;
  };

  const keep = async (upload: Upload, path: string, digest: Bytes32, signal: AbortSignal): Promise<UploadOutcome> => {
    const { cid, bytes } = await ipfs.add(createReadStream(path, { highWaterMark: 1 << 18 }), signal);
    const result = await store.put({ taskId: upload.taskId, cid, digest, bytes, uploader: upload.worker });
    if (result.digest !== digest) throw new CodedError("PRX-1015", { taskId: upload.taskId });
    if (upload.kind === "tee") await store.forgetEnclave(upload.taskId, upload.worker);
    return { result, isNew: true };
  };

  return {
    find,
    take: async ({ taskId, wallet, bytes, length, claim }, signal) => {
      const known = await find(taskId);
      const upload = known === undefined ? await checkUploader(hub, taskId, wallet) : undefined;
      const path = join(options.dir, `${Buffer.from(random.bytes(12)).toString("hex")}.zip`);
      try {
        await receive({ source: bytes, length, path, clock }, options, signal);
        if (known !== undefined) return await same(known, path, claim, signal);
        if (upload === undefined) throw new CodedError("PRX-1003", { taskId });
        return await keep(upload, path, await verify(upload, path, claim, signal), signal);
      } finally {
        await rm(path, { force: true });
      }
    },
    sweep: async () => {
      await mkdir(options.dir, { recursive: true });
      for (const name of await readdir(options.dir)) {
        const path = join(options.dir, name);
        const found = await stat(path).catch(() => undefined);
        if (found !== undefined && clock.now().getTime() - found.mtimeMs > STALE_MS) await rm(path, { recursive: true, force: true });
      }
    },
  };

  /** A second upload: the stored result if it is the same one. */
  async function same(known: StoredResult, path: string, claim: EnclaveClaim | undefined, signal: AbortSignal): Promise<UploadOutcome> {
    const { taskId } = known;
    const deal = await dealOf(taskId);
    const digest = claim?.digest ?? (await readResultZip(path, options.limits, deal.callback, signal)).digest;
    if (digest !== known.digest) throw new CodedError("PRX-1015", { taskId });
    return { result: known, isNew: false };
  }

  async function dealOf(taskId: TaskId): Promise<Upload["deal"]> {
    const task = await hub.task(taskId);
    const deal = task === undefined ? undefined : await hub.deal(task.dealId);
    if (deal === undefined) throw new CodedError("PRX-1003", { taskId });
    return deal;
  }
}

/** What comes, piece by piece; a sender that stalls, or the signal, ends it, whatever the connection does. */
async function* pieces(source: AsyncIterable<Uint8Array>, idleMs: number, clock: Clock, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const reading = source[Symbol.asyncIterator]();
  // Bounded: each piece comes within the idle limit, and their sum is limited by the caller.
  for (;;) {
    using patience = openScope([signal], { ms: idleMs, clock, reason: () => new CodedError("PRX-1021", { seconds: idleMs / 1_000 }) });
    const next = await orAborted(reading.next(), patience.signal);
    if (next.done === true) return;
    yield next.value;
  }
}

async function receive(
  {
    source,
    length,
    path,
    clock,
  }: Pick<UploadRequest, "length"> & {
    readonly source: AsyncIterable<Uint8Array>;
    readonly path: string;
    readonly clock: Clock;
  },
  { dir, maxArchiveBytes, idleMs }: UploadsOptions,
  signal: AbortSignal,
): Promise<void> {
  const tooLarge = (): CodedError => new CodedError("PRX-1014", { limit: maxArchiveBytes });
  if (length !== undefined && length > maxArchiveBytes) throw tooLarge();
  const disk = await statfs(dir);
  if (disk.bavail * disk.bsize < (length ?? 0) * 2 + DISK_RESERVE_BYTES)
    throw new CodedError("PRX-1018", { reason: "not enough free disk space" });
  let received = 0;
  let broken: unknown;
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of pieces(source, idleMs, clock, signal)) {
        received += chunk.byteLength;
        if (received > maxArchiveBytes) throw tooLarge();
        yield chunk;
      }
    } catch (thrown) {
      broken = thrown;
      throw thrown;
    }
  };
  try {
    await writeDurably(path, (file) => file.writeFile(counted()));
  } catch (thrown) {
    signal.throwIfAborted();
    if (broken instanceof CodedError) throw broken;
    if (broken !== undefined) throw new CodedError("PRX-1017", {}, { cause: broken });
    throw new CodedError("PRX-1018", { reason: thrown instanceof Error ? thrown.message : String(thrown) }, { cause: thrown });
  }
  if (length !== undefined && received !== length) throw new CodedError("PRX-1017");
}
