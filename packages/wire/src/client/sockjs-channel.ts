import { CodedError } from "@iexec-ts/service";
import { z } from "zod";

/** One open SockJS session, whatever carries it. */
export interface SockJsChannel {
  /** Resolves once the transport took them; order is kept. */
  send(texts: readonly string[]): Promise<void>;
  /** Never rejects; the reason the session is over. */
  readonly ended: Promise<string>;
  /** Safe to repeat. */
  close(reason: string): void;
}

export interface ChannelOptions {
  /** Address of this session: {base}/connect/{server}/{session} */
  readonly url: string;
  readonly onText: (text: string) => void;
  /** Anything was heard, if only a heart-beat of the transport. */
  readonly onAlive: () => void;
  readonly signal: AbortSignal;
}

/** Time to open a session. @source wire.md 2.1 (attempt limit of the Java worker) */
export const OPEN_WITHIN_MS = 15_000;
/** SockJS servers send a heart-beat every 5 s (Java core, ours) or 25 s (the default of SockJS). */
export const SILENT_MS = 45_000;
/** Longest single frame taken. */
export const MAX_FRAME_BYTES = 16 * 1024 * 1024;

export type SockJsFrame =
  | { readonly kind: "open" }
  | { readonly kind: "heartbeat" }
  | { readonly kind: "messages"; readonly texts: readonly string[] }
  | { readonly kind: "close"; readonly reason: string }
  | { readonly kind: "unknown" };

const textsSchema = z.array(z.string());
const closeSchema = z.tuple([z.int(), z.string()]);

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @source SockJS protocol 0.3; a prelude is a line of h only */
export function readSockJsFrame(line: string): SockJsFrame {
  if (line === "o") return { kind: "open" };
  if (/^h+$/.test(line)) return { kind: "heartbeat" };
  if (line.startsWith("a") || line.startsWith("m")) {
    const json = parseJson(line.slice(1));
    const parsed = textsSchema.safeParse(line.startsWith("m") ? [json] : json);
    return parsed.success ? { kind: "messages", texts: parsed.data } : { kind: "unknown" };
  }
  if (line.startsWith("c")) {
    const parsed = closeSchema.safeParse(parseJson(line.slice(1)));
    return parsed.success ? { kind: "close", reason: `closed by the scheduler: ${parsed.data.join(" ")}` } : { kind: "unknown" };
  }
  return { kind: "unknown" };
}

export const channelLost = (url: string, reason: string, cause?: unknown): CodedError =>
  new CodedError("WIR-1301", { url, reason }, cause === undefined ? {} : { cause });

/** Calls back when nothing was heard for `ms`. */
export class SilenceDeadline {
  readonly #timer: NodeJS.Timeout;

  constructor(ms: number, onSilence: () => void) {
    this.#timer = setTimeout(onSilence, ms);
  }

  heard(): void {
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
