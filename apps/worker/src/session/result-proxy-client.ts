import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { authorizationHashOf, parseIpfsLocation, type TaskId, type WorkerpoolAuthorization } from "@iexec-ts/poco";
import { CodedError, openScope } from "@iexec-ts/service";
import { Agent, fetch } from "undici";
import type { PrivateKeyAccount } from "viem";
import type { ResultStore } from "../replicate/result-store.ts";

const MAX_ANSWER_BYTES = 16_384;
/** What one message may take is reckoned by its size: nobody waits for a slower line than this. */
const SLOWEST_BYTES_PER_SECOND = 50 * 1_024;
const NO_SIGNATURE = `0x${"0".repeat(130)}`;

/**
 * Speaks to a result proxy: streams the zip to one of ours, and falls back to the v9 shape (base64 inside JSON) for a Java one.
 *
 * @param options.defaultUrl - the pool's own proxy, used when a deal names none
 * @source services.md 3.1; compute.md 5.4
 */
export function createResultProxyClient(options: {
  readonly account: PrivateKeyAccount;
  readonly defaultUrl: string;
  readonly timeoutMs: number;
}): ResultStore & { close(): Promise<void> } {
  const { account, defaultUrl, timeoutMs } = options;
  const agent = new Agent({ connectTimeout: 10_000, headersTimeout: timeoutMs, bodyTimeout: timeoutMs });

  // The time for an answer would run while the body is sent: what is sent here has a time of its own, reckoned by its size.
  const patientAgent = new Agent({ connectTimeout: 10_000, headersTimeout: 0, bodyTimeout: timeoutMs });

  // A deal may name any URL; only the pool's own proxy is trusted with our upload.
  const urlFor = (named: string | undefined): string =>
    (named !== undefined && named.replace(/\/+$/, "") === defaultUrl ? named : defaultUrl).replace(/\/+$/, "");

  async function call(
    taskId: TaskId,
    url: string,
    init: Parameters<typeof fetch>[1],
    signal: AbortSignal,
  ): Promise<{ status: number; text: string }> {
    try {
      const response = await fetch(url, { dispatcher: agent, ...init, redirect: "error", signal });
      return { status: response.status, text: await boundedText(response) };
    } catch (thrown) {
      if (signal.aborted) throw thrown;
      throw new CodedError(
        "WRK-1501",
        { taskId, url, reason: thrown instanceof Error ? thrown.message : String(thrown) },
        { cause: thrown },
      );
    }
  }

  async function token(authorization: WorkerpoolAuthorization, base: string, signal: AbortSignal): Promise<string> {
    const taskId = authorization.chainTaskId;
    const hash = authorizationHashOf(authorization.workerWallet, taskId, authorization.enclaveChallenge);
    const answer = await call(
      taskId,
      `${base}/v1/results/token`,
      {
        method: "POST",
        headers: { "content-type": "application/json", authorization: await account.signMessage({ message: { raw: hash } }) },
        body: JSON.stringify(authorization),
      },
      signal,
    );
    if (answer.status !== 200) throw refusalOrOutage(taskId, base, answer);
    return answer.text;
  }

  async function find(taskId: TaskId, proxyUrl: string | undefined, signal: AbortSignal): Promise<string | undefined> {
    const base = urlFor(proxyUrl);
    const answer = await call(taskId, `${base}/v1/results/${taskId}/ipfshash`, { method: "GET" }, signal);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw refusalOrOutage(taskId, base, answer);
    return cidOf(`/ipfs/${answer.text.trim()}`, taskId, base);
  }

  return {
    find,
    async upload({ authorization, zipPath, digest, proxyUrl, onAlive }, signal) {
      const taskId = authorization.chainTaskId;
      const base = urlFor(proxyUrl);
      const stored = await find(taskId, proxyUrl, signal);
      if (stored !== undefined) return stored;
      const exists = await stat(zipPath).then(
        (s) => s.isFile(),
        () => false,
      );
      if (!exists) throw new CodedError("WRK-1312", { taskId });
      const jwt = await token(authorization, base, signal);
      const size = (await stat(zipPath)).size;
      const streamed = await stream(taskId, `${base}/v1/results/${taskId}`, { zipPath, size, jwt, onAlive }, signal);
      const answer =
        streamed.status === 404 || streamed.status === 405
          ? await uploadV9(authorization, base, { zipPath, size, jwt, onAlive, digest }, signal)
          : streamed;
      if (answer.status === 200) return cidOf(answer.text.trim(), taskId, base);
      // Somebody stored it between our look and our upload.
      const adopted = await find(taskId, proxyUrl, signal);
      if (adopted !== undefined) return adopted;
      throw refusalOrOutage(taskId, base, answer);
    },
    async close() {
      await Promise.all([agent.close(), patientAgent.close()]);
    },
  };

  /** Ends when nothing of the zip is taken for a while: a peer that accepts a connection and reads nothing would hold it for ever. */
  async function stream(
    taskId: TaskId,
    url: string,
    { zipPath, size, jwt, onAlive }: Upload,
    signal: AbortSignal,
  ): Promise<{ status: number; text: string }> {
    using sending = openScope([signal]);
    const reason = `nothing was taken for ${(2 * timeoutMs) / 1_000} s`;
    let idle: NodeJS.Timeout | undefined;
    const moved = (): void => {
      onAlive?.();
      clearTimeout(idle);
      idle = setTimeout(() => sending.end(new CodedError("WRK-1501", { taskId, url, reason })), 2 * timeoutMs);
    };
    moved();
    try {
      return await call(
        taskId,
        url,
        {
          method: "PUT",
          headers: { authorization: jwt, "content-type": "application/zip", "content-length": String(size) },
          body: partsOf(zipPath, moved),
          duplex: "half",
        },
        sending.signal,
      );
    } finally {
      clearTimeout(idle);
    }
  }

  async function uploadV9(
    authorization: WorkerpoolAuthorization,
    base: string,
    { zipPath, size, jwt, onAlive = () => undefined, digest }: Upload & { readonly digest: string },
    signal: AbortSignal,
  ): Promise<{ status: number; text: string }> {
    const { chainTaskId, dealId, taskIndex } = authorization;
    const rest = { chainTaskId, dealId, taskIndex, image: "", cmd: "", deterministHash: digest, enclaveSignature: NO_SIGNATURE };
    const before = `${JSON.stringify(rest).slice(0, -1)},"zip":"`;
    const after = '"}';
    const length = Buffer.byteLength(before) + 4 * Math.ceil(size / 3) + after.length;
    using sending = openScope([signal], { ms: 2 * timeoutMs + (length / SLOWEST_BYTES_PER_SECOND) * 1_000 });
    const headers = { "content-type": "application/json", authorization: jwt, "content-length": String(length) };
    const body = enclosed(before, base64Of(partsOf(zipPath, onAlive)), after);
    const init = { method: "POST", headers, body, duplex: "half", dispatcher: patientAgent } as const;
    return await call(chainTaskId, `${base}/v1/results`, init, sending.signal);
  }
}

interface Upload {
  readonly zipPath: string;
  readonly size: number;
  readonly jwt: string;
  readonly onAlive: (() => void) | undefined;
}

async function* enclosed(before: string, parts: AsyncIterable<Uint8Array>, after: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(before);
  yield* parts;
  yield Buffer.from(after);
}

/** Each part ends with a whole group of three bytes, so that the base64 of the parts is that of the whole. */
async function* base64Of(parts: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let rest = Buffer.alloc(0);
  for await (const part of parts) {
    const bytes = Buffer.concat([rest, part]);
    const whole = bytes.length - (bytes.length % 3);
    rest = bytes.subarray(whole);
    if (whole > 0) yield Buffer.from(bytes.toString("base64", 0, whole));
  }
  if (rest.length > 0) yield Buffer.from(rest.toString("base64"));
}

async function* partsOf(path: string, taken: () => void): AsyncGenerator<Uint8Array> {
  for await (const part of createReadStream(path)) {
    taken();
    yield part;
  }
}

async function boundedText(response: Awaited<ReturnType<typeof fetch>>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  if (response.body === null) return text;
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER_BYTES) throw new RangeError("answer too long");
  }
  return text + decoder.decode();
}

function cidOf(location: string, taskId: TaskId, url: string): string {
  const cid = parseIpfsLocation(location);
  if (cid === undefined) throw new CodedError("WRK-1502", { taskId, url, status: 200, reason: "the answer is no IPFS path" });
  return cid;
}

function refusalOrOutage(taskId: TaskId, url: string, answer: { status: number; text: string }): CodedError {
  const reason = answer.text.slice(0, 200);
  return answer.status >= 500
    ? new CodedError("WRK-1501", { taskId, url, reason: `${answer.status} ${reason}` })
    : new CodedError("WRK-1502", { taskId, url, status: answer.status, reason });
}
