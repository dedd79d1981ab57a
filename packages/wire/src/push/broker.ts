import type { TaskId } from "@iexec-ts/poco";
import { type Clock, CodedError } from "@iexec-ts/service";
import { agreeHeartbeat, encodeFrame, HEARTBEAT, malformed, SERVER_LIMITS, StompDecoder, type StompFrame } from "./stomp.ts";

/** One connected client, whatever carries its bytes. */
export interface StompPeer {
  send(text: string): void;
  /** Ends the connection after what was sent. */
  end(): void;
}

export interface BrokerLimits {
  readonly maxSubscriptions: number;
  /** Frames a session may send at once, and how many more each second. */
  readonly frameBurst: number;
  readonly framesPerSecond: number;
}

export const BROKER_LIMITS: BrokerLimits = { maxSubscriptions: 1_000, frameBurst: 2_500, framesPerSecond: 50 };

const CONNECT_WITHIN_MS = 15_000;
const OUR_HEARTBEAT = [10_000, 10_000] as const;
const TOPIC = /^\/topic\/task\/(0x[0-9a-f]{64})$/;

/** Topic -> who listens, each with the ids of its subscriptions. */
type Topics = Map<string, Map<BrokerSession, Set<string>>>;

/**
 * A STOMP 1.1/1.2 broker of one kind of topic, /topic/task/{taskId}, that only the server publishes to.
 * A client that sends, or breaks a limit, gets an ERROR frame and is disconnected: notifications are orders that workers obey.
 *
 * @source wire.md 2, 9.3.17
 */
export class TopicBroker {
  readonly #clock: Clock;
  readonly #limits: BrokerLimits;
  readonly #topics: Topics = new Map();
  #messageCount = 0;

  constructor(clock: Clock, limits: BrokerLimits = BROKER_LIMITS) {
    this.#clock = clock;
    this.#limits = limits;
  }

  open(peer: StompPeer): BrokerSession {
    return new BrokerSession(peer, this.#topics, this.#clock, this.#limits);
  }

  /** Sends a JSON body to every session subscribed to the task; returns to how many. */
  publish(taskId: TaskId, body: string): number {
    const topic = taskId.toLowerCase();
    const sessions = this.#topics.get(topic);
    if (sessions === undefined) return 0;
    // A copy: a peer that turns out to be dead leaves the map while we walk.
    const targets = [...sessions].flatMap(([session, ids]) => [...ids].map((id) => ({ session, id })));
    for (const { session, id } of targets) {
      this.#messageCount += 1;
      session.deliver(topic, id, String(this.#messageCount), body);
    }
    return new Set(targets.map(({ session }) => session)).size;
  }
}

/** The STOMP state of one client. Call `closed` once when its connection has gone. */
export class BrokerSession {
  readonly #peer: StompPeer;
  readonly #topics: Topics;
  readonly #clock: Clock;
  readonly #limits: BrokerLimits;
  readonly #decoder = new StompDecoder(SERVER_LIMITS);
  /** Subscription id -> topic. */
  readonly #subscriptions = new Map<string, string>();
  #state: "new" | "connected" | "ended" = "new";
  #heartbeat = { sendMs: 0, expectMs: 0 };
  readonly #openedAt: number;
  #sentAt: number;
  #heardAt: number;
  #allowance: number;
  #allowanceAt: number;

  constructor(peer: StompPeer, topics: Topics, clock: Clock, limits: BrokerLimits) {
    this.#peer = peer;
    this.#topics = topics;
    this.#clock = clock;
    this.#limits = limits;
    const now = clock.monotonicMs();
    this.#openedAt = now;
    this.#sentAt = now;
    this.#heardAt = now;
    this.#allowance = limits.frameBurst;
    this.#allowanceAt = now;
  }

  receive(text: string): void {
    if (this.#state === "ended") return;
    this.#heardAt = this.#clock.monotonicMs();
    try {
      this.#spend();
      for (const frame of this.#decoder.push(text)) {
        this.#spend();
        this.#handle(frame);
        if (this.#isEnded()) return;
      }
    } catch (thrown) {
      this.#send(encodeFrame("ERROR", { message: CodedError.from(thrown).message, "content-type": "text/plain" }));
      this.#end();
    }
  }

  deliver(topic: string, subscription: string, messageId: string, body: string): void {
    const destination = `/topic/task/${topic}`;
    this.#send(encodeFrame("MESSAGE", { destination, "content-type": "application/json", subscription, "message-id": messageId }, body));
  }

  /** To be called every few seconds: sends heart-beats, and ends a session that is silent or never connected. */
  tick(): void {
    if (this.#state === "ended") return;
    const now = this.#clock.monotonicMs();
    if (this.#state === "new") {
      if (now - this.#openedAt > CONNECT_WITHIN_MS) this.#end();
      return;
    }
    const silentMs = now - this.#heardAt;
    const { sendMs, expectMs } = this.#heartbeat;
    if (expectMs > 0 && silentMs > 3 * expectMs) this.#end();
    else if (sendMs > 0 && now - this.#sentAt >= sendMs / 2) this.#send(HEARTBEAT);
  }

  closed(): void {
    this.#state = "ended";
    for (const id of [...this.#subscriptions.keys()]) this.#unsubscribe(id);
  }

  #handle({ command, headers }: StompFrame): void {
    if (command === "CONNECT" || command === "STOMP") {
      this.#connect(headers);
      return;
    }
    if (this.#state !== "connected") throw malformed("not connected");
    switch (command) {
      case "SUBSCRIBE":
        this.#subscribe(headers);
        break;
      case "UNSUBSCRIBE":
        this.#unsubscribe(headers.get("id") ?? "");
        break;
      case "ACK":
      case "NACK":
      case "DISCONNECT":
        break;
      case "SEND":
        throw malformed("clients may not send");
      default:
        throw malformed("unknown command");
    }
    const receipt = headers.get("receipt");
    if (receipt !== undefined) this.#send(encodeFrame("RECEIPT", { "receipt-id": receipt }));
    if (command === "DISCONNECT") this.#end();
  }

  #connect(headers: ReadonlyMap<string, string>): void {
    if (this.#state !== "new") throw malformed("already connected");
    const offered = (headers.get("accept-version") ?? "1.0").split(",").map((version) => version.trim());
    const version = ["1.2", "1.1"].find((known) => offered.includes(known));
    if (version === undefined) throw malformed("supported versions are 1.1,1.2");
    this.#state = "connected";
    this.#heartbeat = agreeHeartbeat(OUR_HEARTBEAT, headers.get("heart-beat"));
    this.#send(encodeFrame("CONNECTED", { version, "heart-beat": OUR_HEARTBEAT.join(","), server: "iexec-ts" }));
  }

  #subscribe(headers: ReadonlyMap<string, string>): void {
    const id = headers.get("id") ?? "";
    const topic = TOPIC.exec(headers.get("destination") ?? "")?.[1];
    if (id === "" || id.length > 64) throw malformed("a subscription needs an id of 64 characters at most");
    if (topic === undefined) throw malformed("the only topics are /topic/task/{taskId}");
    if (!this.#subscriptions.has(id) && this.#subscriptions.size >= this.#limits.maxSubscriptions)
      throw malformed("too many subscriptions");
    this.#unsubscribe(id);
    this.#subscriptions.set(id, topic);
    const sessions = this.#topics.get(topic) ?? new Map<BrokerSession, Set<string>>();
    this.#topics.set(topic, sessions);
    sessions.set(this, (sessions.get(this) ?? new Set()).add(id));
  }

  #unsubscribe(id: string): void {
    const topic = this.#subscriptions.get(id);
    if (topic === undefined) return;
    this.#subscriptions.delete(id);
    const sessions = this.#topics.get(topic);
    const ids = sessions?.get(this);
    ids?.delete(id);
    if (ids?.size === 0) sessions?.delete(this);
    if (sessions?.size === 0) this.#topics.delete(topic);
  }

  /** Takes one unit of the frame allowance, which grows back with time. */
  #spend(): void {
    const now = this.#clock.monotonicMs();
    const { frameBurst, framesPerSecond } = this.#limits;
    this.#allowance = Math.min(frameBurst, this.#allowance + ((now - this.#allowanceAt) / 1000) * framesPerSecond) - 1;
    this.#allowanceAt = now;
    if (this.#allowance < 0) throw malformed("too many frames");
  }

  #send(text: string): void {
    if (this.#state === "ended") return;
    this.#sentAt = this.#clock.monotonicMs();
    this.#peer.send(text);
  }

  #isEnded(): boolean {
    return this.#state === "ended";
  }

  #end(): void {
    this.closed();
    this.#peer.end();
  }
}
