import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
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
      const response = await fetch(url, { ...init, dispatcher: agent, redirect: "error", signal });
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
        streamed.status === 404 || streamed.status === 405 ? await uploadV9(authorization, zipPath, digest, base, jwt, signal) : streamed;
      if (answer.status === 200) return cidOf(answer.text.trim(), taskId, base);
      // Somebody stored it between our look and our upload.
      const adopted = await find(taskId, proxyUrl, signal);
      if (adopted !== undefined) return adopted;
      throw refusalOrOutage(taskId, base, answer);
    },
    async close() {
      await agent.close();
    },
  };

  /** Ends when nothing of the zip is taken for a while: a peer that accepts a connection and reads nothing would hold it for ever. */
  async function stream(
    taskId: TaskId,
    url: string,
    { zipPath, size, jwt, onAlive }: { zipPath: string; size: number; jwt: string; onAlive: (() => void) | undefined },
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
    zipPath: string,
    digest: string,
    base: string,
    jwt: string,
    signal: AbortSignal,
  ) {
    const file = await open(zipPath);
    try {
      using sending = openScope([signal], { ms: 2 * timeoutMs + ((await file.stat()).size / SLOWEST_BYTES_PER_SECOND) * 1_000 });
      const body = JSON.stringify({
        chainTaskId: authorization.chainTaskId,
        dealId: authorization.dealId,
        taskIndex: authorization.taskIndex,
        image: "",
        cmd: "",
        zip: (await file.readFile()).toString("base64"),
        deterministHash: digest,
        enclaveSignature: NO_SIGNATURE,
      });
      const headers = { "content-type": "application/json", authorization: jwt };
      return await call(authorization.chainTaskId, `${base}/v1/results`, { method: "POST", headers, body }, sending.signal);
    } finally {
      await file.close();
    }
  }
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
