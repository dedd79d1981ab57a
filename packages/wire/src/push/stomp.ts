import { CodedError } from "@iexec-ts/service";

export interface StompFrame {
  readonly command: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface StompLimits {
  readonly maxFrameBytes: number;
  readonly maxHeaders: number;
}

/** A client's frames are small: connect, subscribe, unsubscribe. */
export const SERVER_LIMITS: StompLimits = { maxFrameBytes: 8 * 1024, maxHeaders: 32 };
/** A notification with many addressed workers is large. */
export const CLIENT_LIMITS: StompLimits = { maxFrameBytes: 8 * 1024 * 1024, maxHeaders: 64 };

/** A heart-beat: one end-of-line between frames. */
export const HEARTBEAT = "\n";

const LF = 0x0a;
const CR = 0x0d;
const NUL = 0x00;

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\r": "\\r", "\n": "\\n", ":": "\\c" };
const UNESCAPES: Readonly<Record<string, string>> = { "\\\\": "\\", "\\r": "\r", "\\n": "\n", "\\c": ":" };
/** Frames whose headers are not escaped, for the sake of STOMP 1.0 peers. */
const isPlain = (command: string): boolean => command === "CONNECT" || command === "CONNECTED";

const escapeText = (text: string): string => text.replace(/[\\\r\n:]/g, (char) => ESCAPES[char] ?? char);

function unescapeText(text: string): string {
  if (/\\(?![\\rnc])/.test(text.replaceAll("\\\\", ""))) throw malformed("undefined escape");
  return text.replace(/\\[\\rnc]/g, (pair) => UNESCAPES[pair] ?? pair);
}

export const malformed = (reason: string): CodedError => new CodedError("WIR-1302", { reason });

/** One frame as text, with content-length whenever there is a body. @source STOMP 1.2 */
export function encodeFrame(command: string, headers: Readonly<Record<string, string>>, body = ""): string {
  const code = isPlain(command) ? (text: string) => text.replace(/[\r\n]/g, " ") : escapeText;
  const lines = Object.entries(headers).map(([name, value]) => `${code(name)}:${code(value)}`);
  if (body !== "") lines.push(`content-length:${Buffer.byteLength(body)}`);
  return `${[command, ...lines].join("\n")}\n\n${body}\0`;
}

/**
 * Takes text as it arrives, in whatever pieces, and gives whole frames; heart-beats between frames are skipped.
 * Holds at most one frame. Errors: WIR-1302 for anything that is not STOMP or exceeds a limit; the decoder is of no use afterwards.
 */
export class StompDecoder {
  readonly #limits: StompLimits;
  #rest: Buffer = Buffer.alloc(0);

  constructor(limits: StompLimits) {
    this.#limits = limits;
  }

  push(text: string): StompFrame[] {
    const piece = Buffer.from(text, "utf8");
    this.#rest = this.#rest.length === 0 ? piece : Buffer.concat([this.#rest, piece]);
    const frames: StompFrame[] = [];
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) frames.push(frame);
    return frames;
  }

  #next(): StompFrame | undefined {
    let start = 0;
    while (this.#rest[start] === LF || this.#rest[start] === CR) start += 1;
    this.#rest = this.#rest.subarray(start);
    if (this.#rest.length === 0) return undefined;

    const { maxFrameBytes } = this.#limits;
    const head = endOfHead(this.#rest);
    if (head === undefined) {
      // A NUL before the blank line ends a frame that has no body separator: no frame at all.
      if (this.#rest.length > maxFrameBytes || this.#rest.includes(NUL)) throw malformed("no end of headers");
      return undefined;
    }
    const { command, headers } = parseHead(this.#rest.subarray(0, head.textEnd).toString("utf8"), this.#limits.maxHeaders);
    const bodyEnd = this.#bodyEnd(head.bodyStart, headers.get("content-length"));
    if ((bodyEnd ?? this.#rest.length) > maxFrameBytes) throw malformed(`frame over ${maxFrameBytes} bytes`);
    if (bodyEnd === undefined) return undefined;
    const body = this.#rest.subarray(head.bodyStart, bodyEnd).toString("utf8");
    this.#rest = this.#rest.subarray(bodyEnd + 1);
    return { command, headers, body };
  }

  /** Where the NUL is, or undefined while it has not arrived. */
  #bodyEnd(bodyStart: number, contentLength: string | undefined): number | undefined {
    if (contentLength === undefined) {
      const end = this.#rest.indexOf(NUL, bodyStart);
      return end === -1 ? undefined : end;
    }
    if (!/^\d{1,9}$/.test(contentLength)) throw malformed("bad content-length");
    const end = bodyStart + Number(contentLength);
    if (end > this.#limits.maxFrameBytes) throw malformed(`frame over ${this.#limits.maxFrameBytes} bytes`);
    if (end >= this.#rest.length) return undefined;
    if (this.#rest[end] !== NUL) throw malformed("no NUL after the body");
    return end;
  }
}

function endOfHead(buffer: Buffer): { readonly textEnd: number; readonly bodyStart: number } | undefined {
  for (let at = buffer.indexOf(LF); at !== -1; at = buffer.indexOf(LF, at + 1)) {
    if (buffer[at + 1] === LF) return { textEnd: at, bodyStart: at + 2 };
    if (buffer[at + 1] === CR && buffer[at + 2] === LF) return { textEnd: at, bodyStart: at + 3 };
  }
  return undefined;
}

function parseHead(text: string, maxHeaders: number): { readonly command: string; readonly headers: ReadonlyMap<string, string> } {
  const [command = "", ...lines] = text.split("\n").map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
  if (!/^[A-Z]{3,20}$/.test(command)) throw malformed("not a command");
  if (lines.length > maxHeaders) throw malformed(`more than ${maxHeaders} headers`);
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    if (colon < 1) throw malformed("header without a name or colon");
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1)].map((part) => (isPlain(command) ? part : unescapeText(part)));
    // Of a repeated header the first counts.
    if (name !== undefined && value !== undefined && !headers.has(name)) headers.set(name, value);
  }
  return { command, headers };
}

/** What each side has to send and may expect, in milliseconds; 0: nothing. `ours` and `theirs` are `can send,wants to receive`. */
export function agreeHeartbeat(
  ours: readonly [number, number],
  theirs: string | undefined,
): { readonly sendMs: number; readonly expectMs: number } {
  const match = /^(\d{1,9}),(\d{1,9})$/.exec(theirs ?? "0,0");
  const [canSend, wants] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  return {
    sendMs: ours[0] === 0 || wants === 0 ? 0 : Math.max(ours[0], wants),
    expectMs: ours[1] === 0 || canSend === 0 ? 0 : Math.max(ours[1], canSend),
  };
}
