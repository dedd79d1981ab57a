import type { Clock } from "@iexec-ts/service";
import type { BrokerSession, StompPeer, TopicBroker } from "./broker.ts";

/** Where a session's frames go at this moment: a websocket, or one long HTTP response. */
export interface Receiver {
  /** Writes one SockJS frame; false when the receiver takes no more and has ended itself. */
  write(frame: string): boolean;
  end(): void;
  /** Bytes written but not yet taken by the network. */
  readonly backlog: number;
}

/** A session without a receiver for this long is dropped. @source wire.md 2.1 */
const RECEIVER_ABSENT_MS = 5_000;
/** Kept for a client that is between two receivers, or slow; beyond it the session is dropped. */
const MAX_BACKLOG = 1024 * 1024;

const messageFrame = (text: string): string => `a${JSON.stringify([text])}`;
const closeFrame = (code: number, reason: string): string => `c[${code},${JSON.stringify(reason)}]`;
export const CLOSED = closeFrame(3000, "Go away!");
export const TAKEN = closeFrame(2010, "Another connection still open");

/**
 * One SockJS session: it outlives its receivers (an HTTP response ends every 128 KiB) for 5 s, and holds what was sent meanwhile.
 *
 * @source SockJS protocol 0.3; wire.md 2.1
 */
export class SockJsSession implements StompPeer {
  readonly #clock: Clock;
  readonly #broker: BrokerSession;
  readonly #onClosed: () => void;
  #queue: string[] = [];
  #queued = 0;
  #receiver: Receiver | undefined;
  #opened = false;
  #state: "open" | "ending" | "closed" = "open";
  #absentSince: number;

  constructor(broker: TopicBroker, clock: Clock, onClosed: () => void) {
    this.#clock = clock;
    this.#onClosed = onClosed;
    this.#absentSince = clock.monotonicMs();
    this.#broker = broker.open(this);
  }

  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** False when another receiver is attached: the newcomer has to be sent away. */
  attach(receiver: Receiver): boolean {
    if (this.#receiver !== undefined) return false;
    this.#receiver = receiver;
    if (!this.#opened) {
      this.#opened = true;
      this.#queue.unshift("o");
    }
    this.#flush();
    return true;
  }

  /** The receiver's connection has gone, by its own limit or by the network. */
  detach(receiver: Receiver): void {
    if (this.#receiver !== receiver) return;
    this.#receiver = undefined;
    this.#absentSince = this.#clock.monotonicMs();
    if (this.#state === "ending") this.close();
  }

  receive(messages: readonly string[]): void {
    for (const message of messages) this.#broker.receive(message);
  }

  send(text: string): void {
    if (this.#state !== "open") return;
    this.#push(messageFrame(text));
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    this.#push(CLOSED);
    this.close();
  }

  /** Every few seconds: heart-beats out, dead and abandoned sessions away. */
  tick(): void {
    if (this.#state === "closed") return;
    if (this.#receiver === undefined) {
      if (this.#clock.monotonicMs() - this.#absentSince >= RECEIVER_ABSENT_MS) this.close();
      return;
    }
    this.#push("h");
    this.#broker.tick();
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#receiver?.end();
    this.#receiver = undefined;
    this.#queue = [];
    this.#broker.closed();
    this.#onClosed();
  }

  #push(frame: string): void {
    this.#queue.push(frame);
    this.#queued += frame.length;
    this.#flush();
    if (this.#queued + (this.#receiver?.backlog ?? 0) > MAX_BACKLOG) this.close();
  }

  #flush(): void {
    while (this.#receiver !== undefined) {
      const frame = this.#queue.shift();
      if (frame === undefined) break;
      this.#queued = Math.max(0, this.#queued - frame.length);
      const receiver = this.#receiver;
      if (!receiver.write(frame)) this.detach(receiver);
    }
  }
}
