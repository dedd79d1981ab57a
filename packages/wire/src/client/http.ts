import { CodedError, openScope } from "@iexec-ts/service";
import type { z } from "zod";
import { faultOf } from "../messages/primitives.ts";

export type Fetch = typeof globalThis.fetch;

export interface HttpRequest {
  readonly method?: "GET" | "POST";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly authorization?: string;
  /** For the whole exchange; 20 s unless told. */
  readonly timeoutMs?: number;
  /** Largest answer accepted; 64 KiB unless told. */
  readonly maxBytes?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  /** What was asked, without its query: for errors. */
  readonly url: string;
}

const DEFAULT_TIMEOUT_MS = 20_000;
const DEFAULT_MAX_BYTES = 64 * 1024;

/** Plain HTTP with a deadline and a size limit on everything. Sends no Origin and follows no redirect. */
export class HttpClient {
  readonly #base: string;
  readonly #fetch: Fetch;

  constructor(baseUrl: string, fetch: Fetch = globalThis.fetch) {
    this.#base = baseUrl.replace(/\/+$/, "");
    this.#fetch = fetch;
  }

  urlOf(path: string): string {
    return `${this.#base}${path}`;
  }

  /**
   * Any status is an answer. Errors: WIR-1001 nothing came, WIR-1004 too much came; the signal's reason when the caller aborts.
   *
   * SIDE EFFECTS: one HTTP request.
   */
  async send(request: HttpRequest): Promise<HttpAnswer> {
    const url = this.urlOf(request.path);
    const query = request.query === undefined ? "" : `?${new URLSearchParams(request.query)}`;
    using exchange = openScope([request.signal], { ms: request.timeoutMs ?? DEFAULT_TIMEOUT_MS });
    try {
      const response = await this.#fetch(url + query, {
        method: request.method ?? "GET",
        headers: {
          accept: "application/json, text/plain",
          ...(request.body === undefined ? {} : { "content-type": "application/json" }),
          ...(request.authorization === undefined ? {} : { authorization: request.authorization }),
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        redirect: "error",
        signal: exchange.signal,
      });
      return { status: response.status, text: await boundedText(response, request.maxBytes ?? DEFAULT_MAX_BYTES, url), url };
    } catch (thrown) {
      if (thrown instanceof CodedError) throw thrown;
      if (request.signal?.aborted) throw request.signal.reason;
      throw new CodedError("WIR-1001", { url, reason: reasonOf(thrown) }, { cause: thrown });
    }
  }
}

async function boundedText(response: Response, limit: number, url: string): Promise<string> {
  if (response.body === null) return "";
  const chunks: Uint8Array[] = [];
  let total = 0;
  // Leaving the loop early cancels the body.
  for await (const chunk of response.body) {
    total += chunk.length;
    if (total > limit) throw new CodedError("WIR-1004", { url, limit });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

export function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  const cause = thrown.cause;
  if (typeof cause === "object" && cause !== null && "code" in cause) return String(cause.code);
  if ("code" in thrown && typeof thrown.code === "string") return thrown.code;
  return thrown.name === "TimeoutError" ? "no answer in time" : thrown.message;
}

/** Lets 2xx pass. Errors: WIR-1002 for 408, 429 and 5xx, WIR-1005 for any other status. */
export function expectSuccess(answer: HttpAnswer): HttpAnswer {
  const { status, url } = answer;
  if (status >= 200 && status < 300) return answer;
  throw new CodedError(status >= 500 || status === 429 || status === 408 ? "WIR-1002" : "WIR-1005", { url, status });
}

/** The body as this schema. Errors: WIR-1003. */
export function parseAnswer<T extends z.ZodType>(schema: T, { text, url }: HttpAnswer): z.output<T> {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (thrown) {
    throw new CodedError("WIR-1003", { url, reason: "not JSON" }, { cause: thrown });
  }
  const parsed = schema.safeParse(json);
  if (!parsed.success) throw new CodedError("WIR-1003", { url, reason: faultOf(parsed.error) });
  return parsed.data;
}
