import type { Backoff, Clock } from "@iexec-ts/service";
import { WebSocket } from "ws";
import { z } from "zod";

const PING_MS = 20_000;
const OPEN_TIMEOUT_MS = 10_000;
const MAX_MESSAGE_BYTES = 1024 * 1024;

const answerSchema = z.object({ id: z.literal(1), result: z.string() });
const noticeSchema = z.object({ method: z.literal("eth_subscription") });

export interface HeadFeed {
  /** A subscription is open now. */
  readonly live: boolean;
}

/**
 * Calls `wake` whenever the node announces a block over WebSocket. What the notice says is not used: the node's HTTP side may be behind it.
 * Comes back by itself with growing waits, and gives up for good only when `signal` aborts.
 *
 * SIDE EFFECTS: keeps one WebSocket open.
 */
export function followHeads(
  options: { readonly url: string; readonly headers: Readonly<Record<string, string>> },
  deps: { readonly clock: Clock; readonly backoff: Backoff; readonly wake: () => void },
  signal: AbortSignal,
): HeadFeed & { readonly done: Promise<void> } {
  const feed = { live: false };
  const follow = async () => {
    while (!signal.aborted) {
      await subscribeOnce(options, {
        wake: deps.wake,
        opened: () => {
          feed.live = true;
          deps.backoff.reset();
          deps.wake();
        },
        signal,
      });
      feed.live = false;
      if (signal.aborted) return;
      deps.wake();
      await deps.clock.sleep(deps.backoff.nextMs(), signal).catch(() => undefined);
    }
  };
  const done = follow();
  return {
    get live() {
      return feed.live;
    },
    done,
  };
}

/** Resolves when the subscription has ended, for whatever reason. */
function subscribeOnce(
  options: { readonly url: string; readonly headers: Readonly<Record<string, string>> },
  on: { readonly wake: () => void; readonly opened: () => void; readonly signal: AbortSignal },
): Promise<void> {
  return new Promise((resolve) => {
    const socket = new WebSocket(options.url, {
      headers: { ...options.headers },
      handshakeTimeout: OPEN_TIMEOUT_MS,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
    });
    let heard = true;
    const pulse = setInterval(() => {
      if (!heard) return socket.terminate();
      heard = false;
      if (socket.readyState === WebSocket.OPEN) socket.ping();
    }, PING_MS);
    const stop = () => socket.terminate();
    on.signal.addEventListener("abort", stop, { once: true });
    socket.on("open", () => socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["newHeads"] })));
    socket.on("pong", () => {
      heard = true;
    });
    socket.on("message", (data) => {
      heard = true;
      const message = parse(data.toString());
      if (noticeSchema.safeParse(message).success) on.wake();
      else if (answerSchema.safeParse(message).success) on.opened();
      else socket.close();
    });
    // `close` always follows `error`, and the poll goes on meanwhile: there is nothing else to do here.
    socket.on("error", () => socket.terminate());
    socket.on("close", () => {
      clearInterval(pulse);
      on.signal.removeEventListener("abort", stop);
      resolve();
    });
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
