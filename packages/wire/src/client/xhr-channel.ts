import { openScope } from "@iexec-ts/service";
import type { Fetch } from "./http.ts";
import { reasonOf } from "./http.ts";
import {
  type ChannelOptions,
  channelLost,
  MAX_FRAME_BYTES,
  OPEN_WITHIN_MS,
  readSockJsFrame,
  SILENT_MS,
  SilenceDeadline,
  type SockJsChannel,
} from "./sockjs-channel.ts";

/** Responses in a row without one frame before the session counts as lost: reopening is immediate, so there must be an end to it. */
const MAX_EMPTY_STREAMS = 3;
const SEND_TIMEOUT_MS = 15_000;

/**
 * SockJS over xhr_streaming (receive) and xhr_send (send), the only way into a Java core. The server ends each response after
 * 128 KiB; the next is asked for at once, since the session lives 5 s without one.
 *
 * Errors: WIR-1301 when it does not open within 15 s.
 * SIDE EFFECTS: one open request at a time, until `close`, the signal, or 45 s of silence.
 * @source wire.md 2.1
 */
export async function openXhrChannel(
  { url, onText, onAlive, signal }: ChannelOptions,
  fetch: Fetch = globalThis.fetch,
): Promise<SockJsChannel> {
  signal.throwIfAborted();
  const over = new AbortController();
  const opened = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<string>();
  let isOpen = false;
  const finish = (reason: string): void => {
    silence.stop();
    signal.removeEventListener("abort", onAbort);
    ended.resolve(reason);
    opened.reject(channelLost(url, reason));
    over.abort();
  };
  const onAbort = (): void => finish("the link is closing");
  signal.addEventListener("abort", onAbort, { once: true });
  let silence = new SilenceDeadline(OPEN_WITHIN_MS, () => finish("no answer in time"));

  /** True while the session goes on. */
  const take = (line: string): boolean => {
    const frame = readSockJsFrame(line);
    if (frame.kind === "messages") for (const text of frame.texts) onText(text);
    if (frame.kind === "close") finish(frame.reason);
    if (frame.kind === "open") {
      // A second "o" is another session: the scheduler forgot ours.
      if (isOpen) finish("the scheduler forgot the session");
      isOpen = true;
      silence.stop();
      silence = new SilenceDeadline(SILENT_MS, () => finish("silence"));
      opened.resolve();
    }
    return !over.signal.aborted;
  };

  const receive = async (): Promise<void> => {
    let empty = 0;
    // Bounded: silence ends the channel, and with it this.
    while (!over.signal.aborted) {
      const response = await fetch(`${url}/xhr_streaming`, { method: "POST", redirect: "error", signal: over.signal });
      if (response.status !== 200 || response.body === null) return finish(`HTTP ${response.status}`);
      let frames = 0;
      for await (const line of linesOf(response.body)) {
        silence.heard();
        onAlive();
        // The prelude proves nothing.
        if (line.length < 2048) frames += 1;
        if (!take(line)) return undefined;
      }
      empty = frames === 0 ? empty + 1 : 0;
      if (empty >= MAX_EMPTY_STREAMS) return finish("nothing but empty responses");
    }
    return undefined;
  };
  receive().catch((thrown: unknown) => finish(reasonOf(thrown)));

  const post = async (texts: readonly string[]): Promise<void> => {
    using sending = openScope([over.signal], { ms: SEND_TIMEOUT_MS });
    const response = await fetch(`${url}/xhr_send`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(texts),
      redirect: "error",
      signal: sending.signal,
    });
    await response.body?.cancel();
    if (response.status !== 204 && response.status !== 200) throw channelLost(url, `HTTP ${response.status}`);
  };
  let queue: Promise<void> = Promise.resolve();

  await opened.promise;
  return {
    send(texts) {
      const sent = queue.then(() => post(texts));
      // A later send still goes out: whether this one failed is its caller's to judge.
      queue = sent.catch(() => undefined);
      return sent;
    },
    ended: ended.promise,
    close: finish,
  };
}

/** Whole lines; an unfinished last one is dropped. Throws WIR-1301 for a line without end. */
async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of body) {
    const pieces = decoder.decode(chunk, { stream: true }).split("\n");
    const last = pieces.pop() ?? "";
    for (const piece of pieces) {
      const line = rest + piece;
      rest = "";
      if (line !== "") yield line;
    }
    rest += last;
    if (rest.length > MAX_FRAME_BYTES) throw channelLost("", "a frame without end");
  }
}
