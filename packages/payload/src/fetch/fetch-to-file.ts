import { type FileHandle, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Bytes32 } from "@iexec-ts/poco";
import {
  backoff,
  type Clock,
  CodedError,
  openScope,
  type Random,
  systemClock,
  systemRandom,
  writeAll,
  writeDurably,
} from "@iexec-ts/service";
import { type Agent, type Dispatcher, request } from "undici";
import type { FetchPolicy, FetchToFile } from "../api.ts";
import { finishHash, sha256 } from "../hash.ts";
import { reasonOf, systemCode } from "../reason.ts";
import { guardedAgent, type Resolve, systemResolve } from "./address-guard.ts";
import { checkedUrl, downloadCandidates, printableUrl } from "./dataset-uri.ts";

export interface FetchDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly resolve: Resolve;
}

export interface Download {
  readonly bytes: number;
  readonly sha256: Bytes32;
}

/** Looks at the finished download before it gets its name; throws to refuse it. */
export type Verify = (download: Download, url: string) => void;

export const systemDeps: FetchDeps = { clock: systemClock, random: systemRandom, resolve: systemResolve };
const BACKOFF = { baseMs: 500, maxMs: 10_000 };
const DISK_RESERVE_BYTES = 64 * 1024 * 1024;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** A `FetchToFile` with its clock, randomness and name resolution passed in. */
export function createFetchToFile(overrides: Partial<FetchDeps> = {}): FetchToFile {
  const deps = { ...systemDeps, ...overrides };
  return (url, target, policy, signal) => fetchVerified(url, target, policy, deps, acceptAnything, signal);
}

/**
 * Downloads a URL or an `/ipfs/...` path into a file, streaming, hashing on the way.
 *
 * Every connection, also after a redirect, goes only to public addresses or to those in `policy.allowPrivate`. Bodies are asked for and
 * kept as sent, never unpacked. `policy.limits.totalMs` bounds all tries and gateways together.
 * Errors: PAY-1101 to PAY-1108, PAY-1110, PAY-1111; the signal's reason when aborted.
 *
 * SIDE EFFECTS: creates or replaces `target` (through a draft beside it); HTTP requests.
 */
export const fetchToFile: FetchToFile = createFetchToFile();

const acceptAnything: Verify = (): void => undefined;

/** As `fetchToFile`, with a check that, when it throws, makes the next gateway be asked. */
export async function fetchVerified(
  uri: string,
  target: string,
  policy: FetchPolicy,
  deps: FetchDeps,
  verify: Verify,
  signal: AbortSignal,
): Promise<Download> {
  signal.throwIfAborted();
  const { limits } = policy;
  const candidates = downloadCandidates(uri, policy.gateways);
  const late = new DOMException(`not done within ${limits.totalMs} ms`, "TimeoutError");
  using fetching = openScope([signal], { ms: limits.totalMs, reason: () => late });
  const agent = guardedAgent({ allowPrivate: policy.allowPrivate, connectMs: limits.connectMs, resolve: deps.resolve });
  let failure: CodedError | undefined;
  try {
    for (const url of candidates) {
      const waits = backoff(BACKOFF, deps.random);
      for (let attempt = 1; attempt <= Math.max(1, limits.tries); attempt++) {
        policy.onAlive?.();
        try {
          return await writeDurably(target, async (file) => {
            const download = await fetchOnce(url, file, target, policy, agent, fetching.signal);
            verify(download, url);
            // What follows is silent: the disk takes what it was given.
            policy.onAlive?.();
            return download;
          });
        } catch (thrown) {
          signal.throwIfAborted();
          if (fetching.signal.reason === late)
            throw new CodedError("PAY-1105", { url: printableUrl(url), limit: "total", ms: limits.totalMs }, { cause: thrown });
          failure = preferred(failure, normalise(thrown, url, target, policy));
          if (failure.code === "PAY-1111") throw failure;
          if (!mayRetry(thrown, failure) || attempt >= limits.tries) break;
          await deps.clock.sleep(waits.nextMs(), fetching.signal).catch(() => undefined);
          signal.throwIfAborted();
        }
      }
    }
  } finally {
    await agent.destroy();
  }
  throw failure ?? new CodedError("PAY-1103", { url: printableUrl(uri), reason: "no attempt was made" });
}

/** Bytes that arrived and were wrong say more than a gateway that did not answer. */
const preferred = (before: CodedError | undefined, now: CodedError): CodedError => (before?.code === "PAY-1109" ? before : now);

const mayRetry = (thrown: unknown, failure: CodedError): boolean =>
  failure.retry === "retry" &&
  !(thrown instanceof CodedError && thrown.code === "PAY-1104" && !isPassingStatus(Number(thrown.args.status)));

const isPassingStatus = (status: number): boolean => status >= 500 || status === 429 || status === 408;

function normalise(thrown: unknown, url: string, target: string, policy: FetchPolicy): CodedError {
  for (let cause = thrown; cause instanceof Error; cause = cause.cause) if (cause instanceof CodedError) return cause;
  const shown = printableUrl(url);
  switch (systemCode(thrown)) {
    case "UND_ERR_CONNECT_TIMEOUT":
      return new CodedError("PAY-1105", { url: shown, limit: "connect", ms: policy.limits.connectMs }, { cause: thrown });
    case "UND_ERR_HEADERS_TIMEOUT":
    case "UND_ERR_BODY_TIMEOUT":
      return new CodedError("PAY-1105", { url: shown, limit: "idle", ms: policy.limits.idleMs }, { cause: thrown });
    case "ENOSPC":
    case "EDQUOT":
    case "EROFS":
    case "EACCES":
    case "ENOENT":
    case "EISDIR":
    case "ENOTDIR":
    case "EMFILE":
    case "ENFILE":
    case "ENOMEM":
    case "EIO":
    case "EPERM":
    case "EEXIST":
    case "EBADF":
    case "EFBIG":
      return new CodedError("PAY-1111", { file: target, reason: reasonOf(thrown) }, { cause: thrown });
    default:
      return new CodedError("PAY-1103", { url: shown, reason: reasonOf(thrown) }, { cause: thrown });
  }
}

async function fetchOnce(
  start: string,
  file: FileHandle,
  target: string,
  policy: FetchPolicy,
  agent: Agent,
  signal: AbortSignal,
): Promise<Download> {
  const { limits } = policy;
  let url = checkedUrl(start);
  // Bounded: `maxRedirects`, and the time of all tries.
  for (let hops = 0; ; hops++) {
    const response = await request(url, {
      method: "GET",
      dispatcher: agent,
      headers: { "accept-encoding": "identity", accept: "*/*", "user-agent": "iexec-ts" },
      headersTimeout: limits.idleMs,
      bodyTimeout: limits.idleMs,
      signal,
    });
    const location = response.headers.location;
    if (REDIRECTS.has(response.statusCode) && typeof location === "string") {
      response.body.on("error", () => undefined).destroy();
      if (hops >= limits.maxRedirects) throw new CodedError("PAY-1107", { url: printableUrl(start), limit: limits.maxRedirects });
      const next = checkedUrl(location, url.href);
      if (url.protocol === "https:" && next.protocol === "http:") {
        throw new CodedError("PAY-1101", { url: printableUrl(next.href), reason: "redirect from https to http" });
      }
      url = next;
      continue;
    }
    if (response.statusCode < 200 || response.statusCode >= 300) {
      response.body.on("error", () => undefined).destroy();
      throw new CodedError("PAY-1104", { url: printableUrl(url.href), status: response.statusCode });
    }
    return await store(response, url.href, file, target, policy);
  }
}

async function store(
  response: Dispatcher.ResponseData,
  url: string,
  file: FileHandle,
  target: string,
  { limits: { maxBytes }, onAlive }: FetchPolicy,
): Promise<Download> {
  const announced = Number(response.headers["content-length"] ?? 0);
  const tooLarge = (): CodedError => new CodedError("PAY-1106", { url: printableUrl(url), limit: maxBytes });
  if (announced > maxBytes) {
    response.body.on("error", () => undefined).destroy();
    throw tooLarge();
  }
  const disk = await statfs(dirname(target));
  if (disk.bavail * disk.bsize < announced + DISK_RESERVE_BYTES) {
    response.body.on("error", () => undefined).destroy();
    throw new CodedError("PAY-1111", { file: target, reason: "not enough free disk space" });
  }
  const hash = sha256();
  let bytes = 0;
  for await (const chunk of response.body) {
    const part: Buffer = chunk;
    bytes += part.byteLength;
    if (bytes > maxBytes) throw tooLarge();
    onAlive?.();
    hash.update(part);
    await writeAll(file, part);
  }
  if (bytes === 0) throw new CodedError("PAY-1108", { url: printableUrl(url) });
  return { bytes, sha256: finishHash(hash) };
}
