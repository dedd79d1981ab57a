import type { Backoff, Clock, Watchdog } from "@iexec-ts/service";
import { WebSocket } from "ws";
import { z } from "zod";

const PING_MS = 20_000;
const OPEN_TIMEOUT_MS = 10_000;
/** A block that the node did not announce this long after it was seen shows that the subscription is dead, whatever the connection says. */
const UNANNOUNCED_MS = 15_000;
const BOUND_MS = 180_000;
const MAX_MESSAGE_BYTES = 1024 * 1024;

const answerSchema = z.object({ id: z.literal(1), result: z.string() });
const noticeSchema = z.object({ method: z.literal("eth_subscription") });

export interface HeadFeed {
  /** A subscription is open now. */
  readonly live: boolean;
  /** A new block of this node was seen by asking: the subscription owes an announcement of it. */
  saw(): void;
  readonly done: Promise<void>;
}

interface FeedDeps {
  readonly clock: Clock;
  readonly backoff: Backoff;
  readonly watchdog: Watchdog;
  /** The node, for people. */
  readonly of: string;
  readonly wake: () => void;
}

interface Address {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Calls `wake` whenever the node announces a block over WebSocket. What the notice says is not used: the node's HTTP side may be behind it.
 * Comes back by itself with growing waits, also from a subscription that is open and says nothing of blocks that come; gives up for good only
 * when `signal` aborts.
 *
 * SIDE EFFECTS: keeps one WebSocket open.
 */
export function followHeads(address: Address, deps: FeedDeps, signal: AbortSignal): HeadFeed {
  const { clock, backoff, watchdog, of, wake } = deps;
  let live = false;
  /** Since when an announcement is owed. */
  let owedSinceMs: number | undefined;
  let reopen: () => void = () => undefined;
  const done = watchdog.keep({ loop: "head feed", of, boundMs: BOUND_MS, signal }, async (pulse) => {
    while (!pulse.signal.aborted) {
      owedSinceMs = undefined;
      await subscribeOnce(address, {
        heard: () => pulse.beat(),
        announced: () => {
          owedSinceMs = undefined;
          wake();
        },
        opened: () => {
          live = true;
          backoff.reset();
          wake();
        },
        closer: (close) => {
          reopen = close;
        },
        signal: pulse.signal,
      });
      live = false;
      if (pulse.signal.aborted) return;
      wake();
      const ms = backoff.nextMs();
      pulse.beat(ms + BOUND_MS);
      await clock.sleep(ms, pulse.signal).catch(() => undefined);
    }
  });
  return {
    get live() {
      return live;
    },
    saw: () => {
      if (!live) return;
      owedSinceMs ??= clock.monotonicMs();
      if (clock.monotonicMs() - owedSinceMs >= UNANNOUNCED_MS) reopen();
    },
    done,
  };
}

interface On {
  readonly heard: () => void;
  readonly announced: () => void;
  readonly opened: () => void;
  readonly closer: (close: () => void) => void;
  readonly signal: AbortSignal;
}

/** Resolves when the subscription has ended, for whatever reason. */
function subscribeOnce({ url, headers }: Address, on: On): Promise<void> {
  return new Promise((resolve) => {
    if (on.signal.aborted) return resolve();
    const socket = new WebSocket(url, {
      headers: { ...headers },
      handshakeTimeout: OPEN_TIMEOUT_MS,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
    });
    let heard = true;
    let subscribed = false;
    const pulse = setInterval(() => {
      // Open for so long and not subscribed is as good as closed.
      if (!heard || !subscribed) return socket.terminate();
      heard = false;
      on.heard();
      if (socket.readyState === WebSocket.OPEN) socket.ping();
    }, PING_MS);
    const stop = () => socket.terminate();
    on.closer(stop);
    on.signal.addEventListener("abort", stop, { once: true });
    socket.on("open", () => socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_subscribe", params: ["newHeads"] })));
    socket.on("pong", () => {
      heard = true;
    });
    socket.on("message", (data) => {
      heard = true;
      const message = parse(data.toString());
      if (noticeSchema.safeParse(message).success) on.announced();
      else if (answerSchema.safeParse(message).success) {
        subscribed = true;
        on.opened();
      } else socket.terminate();
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
