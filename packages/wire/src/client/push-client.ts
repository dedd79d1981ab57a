import type { TaskId } from "@iexec-ts/poco";
import { backoff, type Clock, CodedError, type Logger, openScope, orAborted, type Pulse, type Random } from "@iexec-ts/service";
import { z } from "zod";
import type { TaskNotification } from "../api.ts";
import { readNotification } from "../messages/tasks.ts";
import { pause } from "../pause.ts";
import { agreeHeartbeat, CLIENT_LIMITS, encodeFrame, HEARTBEAT, StompDecoder, type StompFrame } from "../push/stomp.ts";
import { expectSuccess, type Fetch, type HttpClient, parseAnswer } from "./http.ts";
import { type ChannelOptions, channelLost, OPEN_WITHIN_MS, type SockJsChannel } from "./sockjs-channel.ts";
import { openWebSocketChannel } from "./websocket-channel.ts";
import { openXhrChannel } from "./xhr-channel.ts";

export interface PushClientDeps {
  readonly http: HttpClient;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger | undefined;
  readonly onNotification: (notification: TaskNotification) => void;
  readonly onConnected: (connected: boolean) => void;
  /** All topics are subscribed: what was published while we were away has to be asked for. */
  readonly onCatchUp: () => void;
}

const infoSchema = z.object({ websocket: z.boolean().catch(false) });
const OUR_HEARTBEAT = [10_000, 10_000] as const;
/** Heart-beats of the broker that may fail to come before the session counts as lost. */
const SILENT_BEATS = 3;
const RECEIPT_WITHIN_MS = 5_000;
/** A connection that lived this long was a good one: the next failure starts with short waits again. */
const STABLE_MS = 30_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;

/**
 * The worker's ear: one STOMP session over SockJS, opened again whenever it is lost, with every topic subscribed again.
 * Notifications published in between are lost by design of the channel; `onCatchUp` says when to ask for them.
 *
 * @source wire.md 2
 */
export class PushClient {
  readonly #deps: PushClientDeps;
  /** Task -> subscription id. */
  readonly #topics = new Map<TaskId, string>();
  #nextId = 0;
  #live: SockJsChannel | undefined;

  constructor(deps: PushClientDeps) {
    this.#deps = deps;
  }

  subscribe(taskId: TaskId): void {
    if (this.#topics.has(taskId)) return;
    this.#nextId += 1;
    const id = `sub-${this.#nextId}`;
    this.#topics.set(taskId, id);
    this.#say([subscribeFrame(taskId, id)]);
  }

  unsubscribe(taskId: TaskId): void {
    const id = this.#topics.get(taskId);
    if (id === undefined) return;
    this.#topics.delete(taskId);
    this.#say([encodeFrame("UNSUBSCRIBE", { id })]);
  }

  /**
   * Stays connected until the pulse's signal; never rejects. Beats with each word of the scheduler, so that a session in which nothing is heard
   * and that does not end by itself is given up.
   *
   * SIDE EFFECTS: one connection at a time.
   */
  async run(pulse: Pulse): Promise<void> {
    const { clock, random, logger, onConnected } = this.#deps;
    const { signal } = pulse;
    const waits = backoff({ baseMs: FIRST_WAIT_MS, maxMs: LONGEST_WAIT_MS }, random);
    // An earlier run that was given up may have left the link as connected.
    onConnected(false);
    while (!signal.aborted) {
      pulse.beat();
      const began = clock.monotonicMs();
      try {
        const reason = await this.#session(pulse);
        logger?.debug("push channel ended", { reason });
      } catch (thrown) {
        logger?.debug("push channel failed", { error: CodedError.from(thrown) });
      }
      if (signal.aborted) return;
      pulse.beat();
      onConnected(false);
      if (clock.monotonicMs() - began > STABLE_MS) waits.reset();
      if (!(await pause(clock, waits.nextMs(), signal))) return;
    }
  }

  /** Resolves with the reason when a session that was open has ended; throws when none could be opened. */
  async #session(pulse: Pulse): Promise<string> {
    // Whatever way the session ends, what it began ends with it.
    using scope = openScope([pulse.signal]);
    const { signal } = scope;
    const decoder = new StompDecoder(CLIENT_LIMITS);
    const greeted = Promise.withResolvers<StompFrame>();
    const received = Promise.withResolvers<void>();
    const failure = (reason: string): void => {
      greeted.reject(channelLost(this.#deps.http.urlOf("/connect"), reason));
      channel?.close(reason);
    };
    // Rejections are awaited only while greeting; afterwards the end of the channel says the same.
    greeted.promise.catch(() => undefined);
    let channel: SockJsChannel | undefined;

    const onFrame = (frame: StompFrame): void => {
      if (frame.command === "CONNECTED") greeted.resolve(frame);
      else if (frame.command === "MESSAGE") this.#notify(frame);
      else if (frame.command === "RECEIPT") received.resolve();
      else if (frame.command === "ERROR") failure(`refused: ${(frame.headers.get("message") ?? "").slice(0, 200)}`);
    };
    let heardAtMs = this.#deps.clock.monotonicMs();
    const onText = (text: string): void => {
      if (signal.aborted) return;
      heardAtMs = this.#deps.clock.monotonicMs();
      try {
        for (const frame of decoder.push(text)) onFrame(frame);
      } catch (thrown) {
        failure(CodedError.from(thrown).message);
      }
    };

    channel = await this.#open({ onText, onAlive: () => pulse.beat() }, signal);
    const open = channel;
    try {
      void open.ended.then((reason) => greeted.reject(channelLost(this.#deps.http.urlOf("/connect"), reason)));
      const hello = encodeFrame("CONNECT", { "accept-version": "1.1,1.2", host: this.#host(), "heart-beat": OUR_HEARTBEAT.join(",") });
      await this.#within(open.send([hello]), OPEN_WITHIN_MS, signal);
      const { headers } = await this.#within(greeted.promise, OPEN_WITHIN_MS, signal);
      this.#live = open;
      await this.#resubscribe(open, headers.get("server") === "iexec-ts" ? received.promise : undefined, signal);
      const { sendMs, expectMs } = agreeHeartbeat(OUR_HEARTBEAT, headers.get("heart-beat"));
      if (sendMs > 0) void this.#beat(open, sendMs, signal);
      if (expectMs > 0) void this.#expect(open, () => heardAtMs, SILENT_BEATS * expectMs, signal);
      this.#deps.onConnected(true);
      this.#deps.onCatchUp();
      return await orAborted(open.ended, signal);
    } finally {
      if (this.#live === open) this.#live = undefined;
      open.close("left");
    }
  }

  async #open(on: Pick<ChannelOptions, "onText" | "onAlive">, signal: AbortSignal): Promise<SockJsChannel> {
    const { http, fetch, random, logger } = this.#deps;
    const info = parseAnswer(infoSchema, expectSuccess(await http.send({ path: "/connect/info", signal })));
    const options = (): ChannelOptions => {
      const server = String(Math.floor(random.float() * 1000)).padStart(3, "0");
      return { url: http.urlOf(`/connect/${server}/${Buffer.from(random.bytes(12)).toString("hex")}`), ...on, signal };
    };
    if (info.websocket) {
      try {
        return await openWebSocketChannel(options());
      } catch (thrown) {
        if (signal.aborted) throw thrown;
        // A proxy that does not pass websockets: HTTP streaming does the same, slower.
        logger?.debug("websocket refused, streaming over HTTP instead", { error: CodedError.from(thrown) });
      }
    }
    return openXhrChannel(options(), fetch);
  }

  /** Our own scheduler confirms that topics are in effect; a Java broker ignores receipts, so there nothing is waited for. */
  async #resubscribe(channel: SockJsChannel, receipt: Promise<void> | undefined, signal: AbortSignal): Promise<void> {
    const frames = [...this.#topics].map(([taskId, id], index, all) =>
      subscribeFrame(taskId, id, receipt !== undefined && index === all.length - 1 ? { receipt: "topics" } : {}),
    );
    if (frames.length === 0) return;
    await this.#within(channel.send(frames), OPEN_WITHIN_MS, signal);
    if (receipt !== undefined) await this.#within(Promise.race([receipt, channel.ended]), RECEIPT_WITHIN_MS, signal);
  }

  async #beat(channel: SockJsChannel, everyMs: number, signal: AbortSignal): Promise<void> {
    // Bounded: the session's scope ends it.
    while (await pause(this.#deps.clock, everyMs, signal)) {
      try {
        await this.#within(channel.send([HEARTBEAT]), OPEN_WITHIN_MS, signal);
      } catch (thrown) {
        channel.close(CodedError.from(thrown).message);
      }
    }
  }

  /** A broker that is dead behind a transport that lives says nothing, not even the heart-beats it promised. */
  async #expect(channel: SockJsChannel, heardAtMs: () => number, withinMs: number, signal: AbortSignal): Promise<void> {
    // Bounded: the session's scope ends it.
    while (await pause(this.#deps.clock, withinMs / SILENT_BEATS, signal)) {
      if (this.#deps.clock.monotonicMs() - heardAtMs() > withinMs) channel.close("no heart-beat of the broker");
    }
  }

  /** Sends if there is a session now; what cannot be sent is said again by the next session. */
  #say(frames: readonly string[]): void {
    const channel = this.#live;
    channel?.send(frames).catch((thrown: unknown) => channel.close(CodedError.from(thrown).message));
  }

  #notify(frame: StompFrame): void {
    const { logger, onNotification } = this.#deps;
    let json: unknown;
    try {
      json = JSON.parse(frame.body);
    } catch (thrown) {
      logger?.debug("notification is not JSON", { error: CodedError.from(thrown) });
      return;
    }
    const notification = readNotification(json);
    // Only what we asked for: a broker may be fed by others.
    if (notification !== undefined && this.#topics.has(notification.taskId)) onNotification(notification);
  }

  async #within<T>(promise: Promise<T>, ms: number, signal: AbortSignal): Promise<T> {
    const reason = (): CodedError => channelLost(this.#deps.http.urlOf("/connect"), "no answer in time");
    using scope = openScope([signal], { ms, clock: this.#deps.clock, reason });
    return await orAborted(promise, scope.signal);
  }

  #host(): string {
    return new URL(this.#deps.http.urlOf("/")).hostname;
  }
}

const subscribeFrame = (taskId: TaskId, id: string, extra: Readonly<Record<string, string>> = {}): string =>
  encodeFrame("SUBSCRIBE", { id, destination: `/topic/task/${taskId}`, ack: "auto", ...extra });
