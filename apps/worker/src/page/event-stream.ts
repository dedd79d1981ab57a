import type { ServerResponse } from "node:http";
import { PAGE_HEADERS } from "./headers.ts";

const MAX_UNSENT_BYTES = 1_024 * 1_024;
/** The browser takes a stream that is silent for twice this time for dead. */
export const BEAT_MS = 10_000;
const RETRY_MS = 2_000;

/** Server-sent events to the open pages. */
export class EventStreams {
  readonly #most: number;
  readonly #open = new Map<ServerResponse, () => void>();
  readonly #beat: NodeJS.Timeout;

  /**
   * SIDE EFFECTS: sends a beat with the worker's time to each page, until `close`.
   *
   * @param onBeat - called before each beat that somebody hears
   */
  constructor(most: number, onBeat: () => void) {
    this.#most = most;
    this.#beat = setInterval(() => {
      if (this.#open.size === 0) return;
      onBeat();
      const beat = frame("beat", { at: new Date().toISOString() });
      for (const response of this.#open.keys()) this.#write(response, beat);
    }, BEAT_MS);
    this.#beat.unref();
  }

  get isFull(): boolean {
    return this.#open.size >= this.#most;
  }

  /** SIDE EFFECTS: answers with a stream that `begin` may write to until its browser leaves; what `begin` returns is called then. */
  open(response: ServerResponse, begin: (send: (event: string, data: unknown) => void) => () => void): void {
    response.writeHead(200, {
      ...PAGE_HEADERS,
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-store",
      "x-accel-buffering": "no",
    });
    response.write(`retry: ${RETRY_MS}\n\n`);
    this.#open.set(response, () => undefined);
    const end = begin((event, data) => this.#write(response, frame(event, data)));
    this.#open.set(response, end);
    response.once("close", () => this.#forget(response));
    response.once("error", () => this.#forget(response));
  }

  close(): void {
    clearInterval(this.#beat);
    for (const response of [...this.#open.keys()]) {
      response.end();
      this.#forget(response);
    }
  }

  /** A browser that does not take what it is sent is let go; it comes back by itself. */
  #write(response: ServerResponse, text: string): void {
    if (response.writableEnded || response.destroyed) return;
    if (response.writableLength > MAX_UNSENT_BYTES) response.destroy();
    else response.write(text);
  }

  #forget(response: ServerResponse): void {
    const end = this.#open.get(response);
    this.#open.delete(response);
    end?.();
  }
}

/** JSON has no line breaks, so one data line is enough. */
const frame = (event: string, data: unknown): string => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
