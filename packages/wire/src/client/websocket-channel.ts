import { WebSocket } from "ws";
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

/**
 * SockJS over a websocket. Sends no Origin: a Java core refuses a foreign one.
 *
 * Errors: WIR-1301 when it does not open within 15 s.
 * SIDE EFFECTS: one connection, until `close`, the signal, or 45 s of silence.
 */
export async function openWebSocketChannel({ url, onText, onAlive, signal }: ChannelOptions): Promise<SockJsChannel> {
  signal.throwIfAborted();
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/websocket`, {
    handshakeTimeout: OPEN_WITHIN_MS,
    maxPayload: MAX_FRAME_BYTES,
    perMessageDeflate: false,
    followRedirects: false,
  });
  const opened = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<string>();
  const finish = (reason: string): void => {
    silence.stop();
    signal.removeEventListener("abort", onAbort);
    ended.resolve(reason);
    opened.reject(channelLost(url, reason));
    socket.terminate();
  };
  const onAbort = (): void => finish("the link is closing");
  const silence = new SilenceDeadline(OPEN_WITHIN_MS, () => finish("no answer in time"));
  let live: SilenceDeadline | undefined;

  signal.addEventListener("abort", onAbort, { once: true });
  socket.on("error", (error) => finish(error.message));
  socket.on("close", (code) => finish(`connection closed (${code})`));
  socket.on("message", (data) => {
    live?.heard();
    onAlive();
    const frame = readSockJsFrame(String(data));
    if (frame.kind === "open") {
      silence.stop();
      live = new SilenceDeadline(SILENT_MS, () => finish("silence"));
      opened.resolve();
    } else if (frame.kind === "messages") for (const text of frame.texts) onText(text);
    else if (frame.kind === "close") finish(frame.reason);
  });
  void ended.promise.then(() => live?.stop());
  await opened.promise;

  return {
    send: (texts) =>
      new Promise((resolve, reject) => {
        socket.send(JSON.stringify(texts), (error) => (error ? reject(channelLost(url, error.message, error)) : resolve()));
      }),
    ended: ended.promise,
    close: finish,
  };
}
