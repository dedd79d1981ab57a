import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { CodedError, openScope, orAborted } from "@iexec-ts/service";
import { Agent, type Dispatcher, request } from "undici";
import { z } from "zod";
import type { IpfsStore } from "../api.ts";
import { printableUrl } from "../fetch/dataset-uri.ts";
import { reasonOf } from "../reason.ts";
import { parseCid } from "./cid.ts";

const MAX_ANSWER_BYTES = 1 << 20;
/** What is under way at a close may end in this time, in milliseconds. */
const CLOSE_MS = 5_000;
const MAX_BLOCK_BYTES = 4 << 20;
const addAnswer = z.object({ Hash: z.string() });
const statAnswer = z.object({ Size: z.number().int().nonnegative() });

export interface KuboOptions {
  /** For example `http://127.0.0.1:5001`; the operator's own setting, so no address guard applies. */
  readonly apiUrl: string;
  /** A node that is silent for longer has failed. Default 60 s. */
  readonly idleMs?: number;
}

/**
 * The same store in a Kubo node, over its HTTP API; added files are pinned there.
 * Reads ask the node's own repository only (`offline`), so a missing block is an answer and not a search of the network.
 *
 * SIDE EFFECTS: HTTP requests.
 */
export function createKuboIpfs(options: KuboOptions): IpfsStore {
  const base = options.apiUrl.replace(/\/+$/, "");
  const idleMs = options.idleMs ?? 60_000;
  const agent = new Agent({ headersTimeout: idleMs, bodyTimeout: idleMs });
  const failed = (reason: string, cause?: unknown): CodedError =>
    new CodedError("PAY-1304", { url: printableUrl(base), reason }, { cause });

  const call = async (
    command: string,
    query: Record<string, string>,
    extra: { readonly body?: Readable; readonly contentType?: string; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Dispatcher.ResponseData> => {
    try {
      return await request(`${base}/api/v0/${command}?${new URLSearchParams(query)}`, {
        method: "POST",
        dispatcher: agent,
        headers: extra.contentType === undefined ? {} : { "content-type": extra.contentType },
        body: extra.body ?? null,
        ...(extra.signal === undefined ? {} : { signal: extra.signal }),
      });
    } catch (thrown) {
      extra.signal?.throwIfAborted();
      throw failed(reasonOf(thrown), thrown);
    }
  };

  const readAll = async (response: Dispatcher.ResponseData, limit: number): Promise<Buffer> => {
    const parts: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of response.body) {
        const part: Buffer = chunk;
        bytes += part.byteLength;
        if (bytes > limit) throw failed("the answer is too long");
        parts.push(part);
      }
    } catch (thrown) {
      throw thrown instanceof CodedError ? thrown : failed(reasonOf(thrown), thrown);
    }
    return Buffer.concat(parts);
  };

  const parse = <T>(schema: z.ZodType<T>, text: string): T => {
    try {
      return schema.parse(JSON.parse(text));
    } catch (thrown) {
      throw failed("the answer is not understood", thrown);
    }
  };

  const content = async function* (cid: string, range?: { readonly start: number; readonly end?: number }): AsyncGenerator<Buffer> {
    const offset = range?.start ?? 0;
    const length = range?.end === undefined ? {} : { length: String(range.end - offset + 1) };
    const response = await call("cat", { arg: cid, offset: String(offset), offline: "true", ...length });
    if (response.statusCode !== 200) {
      await readAll(response, MAX_ANSWER_BYTES);
      throw new CodedError("PAY-1302", { cid });
    }
    try {
      for await (const chunk of response.body) {
        const part: Buffer = chunk;
        yield part;
      }
    } catch (thrown) {
      throw failed(reasonOf(thrown), thrown);
    }
  };

  return {
    add: async (source, signal) => {
      const boundary = randomUUID();
      let bytes = 0;
      let failure: { readonly thrown: unknown } | undefined;
      const multipart = async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.from(
          `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\nContent-Type: application/octet-stream\r\n\r\n`,
        );
        try {
          for await (const chunk of source) {
            signal?.throwIfAborted();
            bytes += chunk.byteLength;
            yield chunk;
          }
        } catch (thrown) {
          failure = { thrown };
          throw thrown;
        }
        yield Buffer.from(`\r\n--${boundary}--\r\n`);
      };
      const query = { "cid-version": "0", "raw-leaves": "false", chunker: "size-262144", pin: "true", quieter: "true", progress: "false" };
      const body = Readable.from(multipart(), { objectMode: false });
      const response = await call("add", query, { body, contentType: `multipart/form-data; boundary=${boundary}`, signal }).catch(
        (thrown: unknown) => {
          throw failure?.thrown ?? thrown;
        },
      );
      const text = (await readAll(response, MAX_ANSWER_BYTES)).toString("utf8");
      if (response.statusCode !== 200) throw failed(`status ${response.statusCode}`);
      const last = text.trim().split("\n").at(-1) ?? "";
      return { cid: parseCid(parse(addAnswer, last).Hash).toString(), bytes };
    },
    stat: async (cid) => {
      const response = await call("files/stat", { arg: `/ipfs/${parseCid(cid)}`, offline: "true", "with-local": "true" });
      const text = (await readAll(response, MAX_ANSWER_BYTES)).toString("utf8");
      if (response.statusCode !== 200) return undefined;
      const answer = parse(statAnswer.extend({ Local: z.boolean().optional() }), text);
      return answer.Local === false ? undefined : { bytes: answer.Size };
    },
    get: (cid, range) => Readable.from(content(parseCid(cid).toString(), range), { objectMode: false }),
    block: async (cid) => {
      const response = await call("block/get", { arg: parseCid(cid).toString(), offline: "true" });
      const bytes = await readAll(response, MAX_BLOCK_BYTES);
      return response.statusCode === 200 ? bytes : undefined;
    },
    close: async () => {
      using closing = openScope([], { ms: CLOSE_MS });
      await orAborted(agent.close(), closing.signal).catch(() => agent.destroy());
    },
  };
}
