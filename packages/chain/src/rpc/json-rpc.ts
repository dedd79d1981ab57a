import { CodedError, openScope } from "@iexec-ts/service";
import { z } from "zod";
import { NodeFault } from "./rpc-fault.ts";

/** Where a node listens, split so that credentials never reach a log. */
export interface RpcAddress {
  readonly http: string;
  readonly ws: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Without credentials and without the path, which often is one. */
  readonly shown: string;
}

export interface CallOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
const TOO_MANY_REQUESTS = 429;
const SERVER_ERROR = 500;

const faultSchema = z.object({ code: z.coerce.number().catch(0), message: z.string().catch("no message"), data: z.unknown().optional() });
const answerSchema = z.union([z.object({ error: faultSchema }), z.object({ result: z.unknown() })]);

/**
 * One JSON-RPC call over HTTP.
 *
 * Errors: CHN-1001 no answer, CHN-1002 not a JSON-RPC answer, NodeFault when the node answered with an error object.
 */
export async function callNode(address: RpcAddress, method: string, params: unknown, options: CallOptions): Promise<unknown> {
  const late = new DOMException(`no answer within ${options.timeoutMs} ms`, "TimeoutError");
  using call = openScope([options.signal], { ms: options.timeoutMs, reason: () => late });
  const silent = (reason: string, cause: unknown) => new CodedError("CHN-1001", { url: address.shown, method, reason }, { cause });
  let text: string;
  let status: number;
  try {
    const response = await fetch(address.http, {
      method: "POST",
      headers: { "content-type": "application/json", ...address.headers },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: params ?? [] }),
      redirect: "error",
      signal: call.signal,
    });
    status = response.status;
    text = await readBounded(response);
  } catch (error) {
    options.signal?.throwIfAborted();
    throw silent(call.signal.reason === late ? late.message : reasonOf(error), error);
  }
  if (status === TOO_MANY_REQUESTS || status >= SERVER_ERROR) throw silent(`HTTP ${status}`, undefined);
  return readAnswer(text, status, address, method);
}

function readAnswer(text: string, status: number, address: RpcAddress, method: string): unknown {
  const unreadable = (reason: string, cause?: unknown) => new CodedError("CHN-1002", { url: address.shown, method, reason }, { cause });
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (error) {
    throw unreadable(`HTTP ${status}, not JSON`, error);
  }
  const answer = answerSchema.safeParse(body);
  if (!answer.success) throw unreadable(`HTTP ${status}, neither result nor error`, answer.error);
  if ("error" in answer.data) {
    const { code, message, data } = answer.data.error;
    throw new NodeFault({ code, message, data });
  }
  return answer.data.result;
}

async function readBounded(response: Response): Promise<string> {
  if (response.body === null) return "";
  const decoder = new TextDecoder();
  let text = "";
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size > MAX_ANSWER_BYTES) throw new RangeError(`answer larger than ${MAX_ANSWER_BYTES} bytes`);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/**
 * Reads a node's address. `ws` is the address of its subscriptions: given, or the same host and port with the ws scheme.
 *
 * Errors: CHN-1006.
 */
export function parseRpcAddress(given: string | { readonly url: string; readonly ws?: string | false }): RpcAddress {
  const options = typeof given === "string" ? { url: given } : given;
  const url = parseUrl(options.url);
  const headers: Record<string, string> = {};
  if (url.username !== "" || url.password !== "") {
    const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    headers.authorization = `Basic ${Buffer.from(pair).toString("base64")}`;
    url.username = "";
    url.password = "";
  }
  const secure = url.protocol === "https:" || url.protocol === "wss:";
  const withScheme = (scheme: string) => `${scheme}${url.href.slice(url.protocol.length)}`;
  const derived = withScheme(secure ? "wss:" : "ws:");
  const ws = options.ws === false ? undefined : options.ws === undefined ? derived : parseUrl(options.ws).href;
  return { http: withScheme(secure ? "https:" : "http:"), ws, headers, shown: `${secure ? "https" : "http"}://${url.host}` };
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && ["http:", "https:", "ws:", "wss:"].includes(url.protocol)) return url;
  throw new CodedError("CHN-1006", {
    url: url === undefined ? "(unreadable)" : `${url.protocol}//${url.host}`,
    reason: "not an http, https, ws or wss address",
  });
}
