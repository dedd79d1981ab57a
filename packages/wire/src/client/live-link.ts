import type { Address, TaskId } from "@iexec-ts/poco";
import {
  backoff,
  type Clock,
  CodedError,
  createWatchdog,
  type Logger,
  openScope,
  type Pulse,
  type Random,
  type Watchdog,
} from "@iexec-ts/service";
import { z } from "zod";
import type {
  Assignment,
  LinkState,
  PublicChainConfig,
  PublicConfiguration,
  ReportAnswer,
  SchedulerConnection,
  StatusReport,
  TaskNotification,
  WorkerDescription,
} from "../api.ts";
import { writeWorkerDescription } from "../messages/configuration.ts";
import { lowerHex } from "../messages/primitives.ts";
import { readNotification } from "../messages/tasks.ts";
import { pause } from "../pause.ts";
import { Demand } from "./demand.ts";
import { fetchChainConfiguration, fetchConfiguration } from "./discovery.ts";
import { expectSuccess, type Fetch, type HttpClient, parseAnswer } from "./http.ts";
import { Listeners } from "./listeners.ts";
import { PushClient } from "./push-client.ts";
import { ReportDelivery } from "./report-delivery.ts";
import type { Session } from "./session.ts";

export interface LiveLinkParts {
  readonly http: HttpClient;
  readonly session: Session;
  readonly dialect: "native" | "v9";
  readonly version: string;
  readonly configuration: PublicConfiguration;
  readonly chain: PublicChainConfig | undefined;
  readonly wallet: Address;
  /** Aborting it ends everything the link does. */
  readonly closing: AbortController;
  readonly deps: {
    readonly clock: Clock;
    readonly random: Random;
    readonly logger?: Logger;
    readonly fetch: Fetch;
    readonly watchdog?: Watchdog;
  };
}

/** @source wire.md 5.2 */
const PING_EVERY_MS = 10_000;
const PING_TIMEOUT_MS = 10_000;
/** A ping with two logins, a new configuration and the wait for the next one all fit. */
const PING_BOUND_MS = 180_000;
/** The silence after which a channel ends, opening the next one by both ways, and the longest wait in between all fit. */
const PUSH_BOUND_MS = 150_000;
const ATTEMPTS = 3;
const MAX_INTERRUPTED_BYTES = 8 * 1024 * 1024;

/** The scheduler link of connectScheduler: pings and listens from construction until `close`. */
export class LiveLink implements SchedulerConnection {
  readonly dialect: "native" | "v9";
  readonly version: string;
  readonly #parts: LiveLinkParts;
  readonly #wallet: Address;
  readonly #push: PushClient;
  readonly #demand: Demand;
  readonly #reports: ReportDelivery;
  readonly #work: Promise<unknown>;
  readonly #onNotification: Listeners<TaskNotification>;
  readonly #onState: Listeners<LinkState>;
  readonly #onCatchUp: Listeners<undefined>;
  readonly #onConfiguration: Listeners<PublicConfiguration>;
  #configuration: PublicConfiguration;
  #chain: PublicChainConfig | undefined;
  #configurationHash: string | undefined;
  #pinged = false;
  #listening = false;
  #state: LinkState = "down";

  constructor(parts: LiveLinkParts) {
    const { session, dialect, http, deps } = parts;
    const { clock, random, logger, fetch } = deps;
    const watchdog = deps.watchdog ?? createWatchdog({ clock, random, ...(logger === undefined ? {} : { log: logger }) });
    this.dialect = dialect;
    this.version = parts.version;
    this.#parts = parts;
    this.#wallet = lowerHex(parts.wallet);
    this.#configuration = parts.configuration;
    this.#chain = parts.chain;
    this.#onNotification = new Listeners(logger);
    this.#onState = new Listeners(logger);
    this.#onCatchUp = new Listeners(logger);
    this.#onConfiguration = new Listeners(logger);
    this.#demand = new Demand({ session, dialect, clock, random, periodMs: () => this.#configuration.askForReplicatePeriod });
    this.#reports = new ReportDelivery({ session, dialect, clock, random, logger });
    this.#push = new PushClient({
      http,
      fetch,
      clock,
      random,
      logger,
      onNotification: (notification) => this.#notify(notification),
      onConnected: (connected) => {
        this.#listening = connected;
        this.#update();
      },
      onCatchUp: () => this.#onCatchUp.tell(undefined),
    });
    const { signal } = parts.closing;
    this.#work = Promise.all([
      watchdog.keep({ loop: "ping", of: http.urlOf(""), boundMs: PING_BOUND_MS, signal }, (pulse) => this.#keepPinging(pulse)),
      watchdog.keep({ loop: "push link", of: http.urlOf(""), boundMs: PUSH_BOUND_MS, signal }, (pulse) => this.#push.run(pulse)),
    ]);
  }

  get configuration(): PublicConfiguration {
    return this.#configuration;
  }

  get chain(): PublicChainConfig | undefined {
    return this.#chain;
  }

  get state(): LinkState {
    return this.#state;
  }

  async register(me: WorkerDescription, signal?: AbortSignal): Promise<void> {
    const body = writeWorkerDescription({ ...me, walletAddress: this.#wallet });
    await this.#fewTimes(async (until) => {
      expectSuccess(await this.#parts.session.call({ method: "POST", path: "/workers/register", body, signal: until }));
    }, signal);
  }

  demand({ blockNumber }: { readonly blockNumber: bigint }, signal: AbortSignal): Promise<Assignment | undefined> {
    return this.#while(signal, (until) => this.#demand.ask(blockNumber, until));
  }

  interrupted({ blockNumber }: { readonly blockNumber: bigint }, signal?: AbortSignal): Promise<readonly TaskNotification[]> {
    const query = { blockNumber: blockNumber.toString() };
    return this.#fewTimes(async (until) => {
      const request = { path: "/replicates/interrupted", query, maxBytes: MAX_INTERRUPTED_BYTES, signal: until };
      const list = parseAnswer(z.array(z.unknown()), expectSuccess(await this.#parts.session.call(request)));
      return list.flatMap((json) => readNotification(json) ?? []);
    }, signal);
  }

  report(report: StatusReport, signal?: AbortSignal): Promise<ReportAnswer> {
    return this.#while(signal, (until) => this.#reports.deliver(report, until));
  }

  subscribe(taskId: TaskId): void {
    this.#push.subscribe(lowerHex(taskId));
  }

  unsubscribe(taskId: TaskId): void {
    this.#push.unsubscribe(lowerHex(taskId));
  }

  onNotification(listener: (notification: TaskNotification) => void): () => void {
    return this.#onNotification.add(listener);
  }

  onState(listener: (state: LinkState) => void): () => void {
    return this.#onState.add(listener);
  }

  onCatchUp(listener: () => void): () => void {
    return this.#onCatchUp.add(listener);
  }

  onConfiguration(listener: (configuration: PublicConfiguration) => void): () => void {
    return this.#onConfiguration.add(listener);
  }

  async close(): Promise<void> {
    this.#parts.closing.abort(new CodedError("WIR-1006"));
    await this.#work;
    this.#pinged = false;
    this.#listening = false;
    this.#update();
  }

  async #keepPinging(pulse: Pulse): Promise<void> {
    const { session, deps } = this.#parts;
    const { signal } = pulse;
    do {
      pulse.beat();
      try {
        const answer = await session.call({ method: "POST", path: "/workers/ping", timeoutMs: PING_TIMEOUT_MS, signal });
        await this.#compareConfiguration(expectSuccess(answer).text.trim().toLowerCase(), signal);
        if (signal.aborted) return;
        this.#pinged = true;
      } catch (thrown) {
        if (signal.aborted) return;
        this.#pinged = false;
        deps.logger?.debug("ping failed", { error: CodedError.from(thrown) });
      }
      this.#update();
    } while (await pause(deps.clock, PING_EVERY_MS, signal));
  }

  /** An empty answer says nothing; a new text means a new configuration. @source wire.md 1.4 */
  async #compareConfiguration(hash: string, signal: AbortSignal): Promise<void> {
    if (hash === "" || hash === this.#configurationHash) return;
    const first = this.#configurationHash === undefined;
    if (!first) {
      const { http, deps } = this.#parts;
      const configuration = await fetchConfiguration(http, signal);
      const chain = await fetchChainConfiguration(configuration, { fetch: deps.fetch, logger: deps.logger }, signal);
      signal.throwIfAborted();
      this.#chain = chain ?? this.#chain;
      this.#configuration = configuration;
    }
    // Remembered last: if reading failed, the next ping tries again.
    this.#configurationHash = hash;
    if (!first) this.#onConfiguration.tell(this.#configuration);
  }

  #notify(notification: TaskNotification): void {
    const forUs = notification.workers.length === 0 || notification.workers.includes(this.#wallet);
    if (forUs) this.#onNotification.tell(notification);
  }

  #update(): void {
    const state: LinkState = this.#pinged && this.#listening ? "up" : this.#pinged || this.#listening ? "degraded" : "down";
    if (state === this.#state) return;
    this.#state = state;
    this.#onState.tell(state);
  }

  async #while<T>(signal: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    using scope = openScope([signal, this.#parts.closing.signal]);
    return await work(scope.signal);
  }

  async #fewTimes<T>(attempt: (signal: AbortSignal) => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    const { clock, random } = this.#parts.deps;
    using scope = openScope([signal, this.#parts.closing.signal]);
    const until = scope.signal;
    const waits = backoff({ baseMs: 500, maxMs: 5_000 }, random);
    // Bounded: a few attempts, each with a deadline.
    for (;;) {
      until.throwIfAborted();
      try {
        return await attempt(until);
      } catch (thrown) {
        if (until.aborted) throw until.reason;
        const error = CodedError.from(thrown);
        const waitMs = waits.nextMs();
        if (error.retry !== "retry" || waits.attempts >= ATTEMPTS) throw error;
        await clock.sleep(waitMs, until);
      }
    }
  }
}
