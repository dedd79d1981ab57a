import type { Readable } from "node:stream";
import { type Clock, CodedError, openScope } from "@iexec-ts/service";
import { Agent, request as httpRequest } from "undici";
import { z } from "zod";
import type { DockerSandboxOptions } from "./options.ts";

const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const MAX_REASON_CHARS = 500;

export interface EngineRequest {
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean>>;
  readonly body?: object;
  /** An archive, sent instead of a body. */
  readonly upload?: Buffer;
  /** Sent as a header of this one request. */
  readonly auth?: { readonly username: string; readonly password: string; readonly serveraddress: string };
}

interface CallOptions<T> {
  /** In the infinitive, for messages: "start the container". */
  readonly what: string;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
  /** Answers that are expected although they are errors, by HTTP status; may throw a better error. */
  readonly on?: Readonly<Record<number, (reason: string) => T>>;
}

interface StreamOptions<T> extends CallOptions<T> {
  /** Longest silence in milliseconds; 0 where the caller looks after that itself. As long as a short call may take unless given. */
  readonly idleMs?: number;
}

/** The Docker Engine API: each call is bounded in time and size, answers are parsed, failures are coded. */
export interface Engine {
  /**
   * A short call whose JSON answer is parsed.
   *
   * Errors: SBX-1001 (no answer), SBX-1002 (refused), SBX-1003 (no permission), SBX-1004 (not understood).
   */
  json<Output, Expected = never>(
    request: EngineRequest,
    schema: z.ZodType<Output>,
    options: CallOptions<Expected>,
  ): Promise<Output | Expected>;
  /** As `json` for answers without content. */
  send<Expected = undefined>(request: EngineRequest, options: CallOptions<Expected>): Promise<Expected | undefined>;
  /**
   * A long answer, read as it comes by `read`. Its beginning is bounded in time, and each silence between two of its parts.
   *
   * Errors: SBX-1001 also when it breaks off or falls silent.
   */
  stream<Output, Expected = never>(
    request: EngineRequest,
    options: StreamOptions<Expected>,
    read: (answer: Readable) => Promise<Output>,
  ): Promise<Output | Expected>;
}

const SUCCESSES: ReadonlySet<number> = new Set([200, 201, 204, 304]);

/** The engine answered, with a status that is not a success. */
class Refusal extends Error {
  readonly statusCode: number;
  readonly reason: string;
  constructor(statusCode: number, reason: string) {
    super(reason);
    this.statusCode = statusCode;
    this.reason = reason;
  }
}

const refusalSchema = z.object({ message: z.string() });
const systemErrorSchema = z.object({ code: z.string() });

/** One printable line of bounded length out of a text of the engine. */
export const shorten = (text: string): string => {
  const line = text.replace(/\p{Cc}+/gu, " ").trim();
  return line.length <= MAX_REASON_CHARS ? line : `${line.slice(0, MAX_REASON_CHARS)}…`;
};

/** Where the engine listens. Errors: SBX-1007. */
export function parseHost(host: string): { readonly socketPath: string } | { readonly host: string; readonly port: number } {
  if (host.startsWith("unix://")) return { socketPath: host.slice("unix://".length) || "/var/run/docker.sock" };
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url === undefined || !["tcp:", "http:", "https:"].includes(url.protocol) || url.hostname === "") {
    throw new CodedError("SBX-1007", { address: host, reason: "expected unix:///path or tcp://host:port" });
  }
  return { host: url.hostname, port: url.port === "" ? 2375 : Number(url.port) };
}

/** Connects lazily: nothing is sent before the first call. */
export function createEngine(
  options: Pick<DockerSandboxOptions, "socketPath" | "host" | "tls" | "callTimeoutMs">,
  clock: Clock,
  closing: AbortSignal,
): Engine {
  const address = options.host === undefined ? { socketPath: options.socketPath ?? "/var/run/docker.sock" } : parseHost(options.host);
  const shown = "socketPath" in address ? address.socketPath : `${address.host}:${address.port}`;
  const callTimeoutMs = options.callTimeoutMs ?? 60_000;
  const scheme = options.tls === undefined ? "http" : "https";
  const origin = "socketPath" in address ? `${scheme}://docker` : `${scheme}://${address.host}:${address.port}`;
  const agent = new Agent({
    // Each request has its own connection: after a restart of the engine a kept one would fail the first call.
    pipelining: 0,
    // Each call has its own deadline, and each stream its own longest silence.
    headersTimeout: 0,
    bodyTimeout: 0,
    connect: { ...("socketPath" in address ? address : {}), ...options.tls },
  });

  async function dial(request: EngineRequest, signal: AbortSignal, bodyTimeout: number): Promise<Readable> {
    const { statusCode, body } = await httpRequest(`${origin}${request.path}`, {
      dispatcher: agent,
      method: request.method,
      query: queryOf(request),
      headers: headersOf(request),
      body: request.upload ?? (request.body === undefined ? null : JSON.stringify(request.body)),
      signal,
      bodyTimeout,
    });
    if (SUCCESSES.has(statusCode)) return body;
    throw new Refusal(statusCode, reasonOf(await readAll(body)));
  }

  /** @param whole - the deadline covers the answer's body too */
  async function open<T, Output>(
    request: EngineRequest,
    options: StreamOptions<T>,
    read: (answer: Readable) => Promise<Output>,
    whole: boolean,
  ): Promise<T | Output> {
    const { what, signal } = options;
    const timeoutMs = options.timeoutMs ?? callTimeoutMs;
    const idleMs = options.idleMs ?? callTimeoutMs;
    using call = openScope([closing, signal]);
    using answering = openScope([call.signal]);
    const late = new CodedError("SBX-1001", { what, reason: `no answer within ${timeoutMs} ms` });
    clock.sleep(timeoutMs, answering.signal).then(
      () => call.end(late),
      () => undefined,
    );
    try {
      const answer = await dial(request, call.signal, whole ? 0 : idleMs);
      if (!whole) answering.end();
      return await read(answer);
    } catch (thrown) {
      if (closing.aborted) throw new CodedError("SBX-1006");
      signal?.throwIfAborted();
      if (call.signal.reason === late) throw late;
      return fail(thrown, options, idleMs);
    }
  }

  const fail = <T>(thrown: unknown, { what, on }: CallOptions<T>, idleMs: number): T => {
    if (thrown instanceof CodedError) throw thrown;
    if (thrown instanceof Refusal) {
      const { statusCode, reason } = thrown;
      const expected = on?.[statusCode];
      if (expected !== undefined) return expected(reason);
      if (statusCode === 503) throw new CodedError("SBX-1001", { what, reason }, { cause: thrown });
      throw new CodedError("SBX-1002", { what, status: statusCode, reason }, { cause: thrown });
    }
    const system = systemErrorSchema.safeParse(thrown);
    const code = system.success ? system.data.code : undefined;
    if (code === "EACCES" || code === "EPERM") throw new CodedError("SBX-1003", { address: shown }, { cause: thrown });
    if (code === "UND_ERR_BODY_TIMEOUT") throw new CodedError("SBX-1001", { what, reason: `silent for ${idleMs} ms` }, { cause: thrown });
    const reason = code ?? (thrown instanceof Error ? thrown.message : String(thrown));
    throw new CodedError("SBX-1001", { what, reason: `${shown}: ${reason}` }, { cause: thrown });
  };

  return {
    json: <Output, Expected>(request: EngineRequest, schema: z.ZodType<Output>, options: CallOptions<Expected>) =>
      open<Expected, Output>(request, options, async (answer) => parse(await readAll(answer), schema, options.what), true),
    send: <Expected>(request: EngineRequest, options: CallOptions<Expected>) =>
      open<Expected, undefined>(
        request,
        options,
        async (answer) => {
          await readAll(answer);
          return undefined;
        },
        true,
      ),
    stream: <Output, Expected>(request: EngineRequest, options: StreamOptions<Expected>, read: (answer: Readable) => Promise<Output>) =>
      open<Expected, Output>(request, options, read, false),
  };
}

/** What the engine says of a refusal: the message of its JSON, or the text as it came. */
function reasonOf(text: string): string {
  try {
    const refusal = refusalSchema.safeParse(JSON.parse(text));
    if (refusal.success) return shorten(refusal.data.message);
  } catch {
    // Not JSON: a proxy between us and the engine.
  }
  return shorten(text);
}

/** The engine wants the padding that Buffer's own form leaves out. */
const paddedBase64Url = (text: string): string => Buffer.from(text).toString("base64").replaceAll("+", "-").replaceAll("/", "_");

const queryOf = ({ query = {} }: EngineRequest): Record<string, string> =>
  Object.fromEntries(Object.entries(query).map(([name, value]) => [name, String(value)]));

function headersOf({ auth, body, upload }: EngineRequest): Record<string, string> {
  return {
    ...(upload === undefined ? {} : { "content-type": "application/x-tar" }),
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...(auth === undefined ? {} : { "x-registry-auth": paddedBase64Url(JSON.stringify(auth)) }),
  };
}

async function readAll(answer: Readable): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of answer) {
    const bytes = Buffer.from(part);
    size += bytes.length;
    if (size > MAX_ANSWER_BYTES) throw new CodedError("SBX-1004", { what: "a call", reason: `more than ${MAX_ANSWER_BYTES} bytes` });
    parts.push(bytes);
  }
  return Buffer.concat(parts).toString("utf8");
}

function parse<Output>(text: string, schema: z.ZodType<Output>, what: string): Output {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CodedError("SBX-1004", { what, reason: "not JSON" }, { cause });
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new CodedError("SBX-1004", { what, reason: shorten(z.prettifyError(parsed.error)) }, { cause: parsed.error });
  return parsed.data;
}
