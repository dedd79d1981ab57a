import { type Clock, CodedError, openScope, orAborted } from "@iexec-ts/service";
import type { FactSources } from "../cli/facts/fact-sources.ts";
import { gatherIdleFacts } from "../cli/facts/idle-facts.ts";
import type { IdleFacts } from "../cli/facts/idle-reasons.ts";
import { gatherStatus, type StatusFacts } from "../cli/facts/status-facts.ts";
import type { Sum } from "../cli/money/summary.ts";
import { Today } from "./today.ts";

/** Everything the page and the metrics are made of. */
export interface LiveFacts {
  readonly status: StatusFacts;
  readonly idle: { readonly at: Date; readonly facts: IdleFacts } | undefined;
  readonly today: { readonly at: Date; readonly sum: Sum } | undefined;
  readonly todayProblem: CodedError | undefined;
}

/** `settled`: the money of a task moved. `changed`: something else did. `head`: only time passed. */
export type Occasion = "settled" | "changed" | "head";

/** Between two looks while things happen, and while nothing does. */
const BUSY_MS = 300;
const QUIET_MS = 15_000;
/** How old the slower parts, which ask nodes and the scheduler more, may get. */
const SLOW_MS = 60_000;
/** Longest time for one look, in milliseconds: the next one must not wait for one that hangs. */
const LOOK_MS = 60_000;
const NOTHING_YET = { idle: undefined, today: undefined, todayProblem: undefined };

/**
 * Facts that follow the worker's own events while somebody watches, and cost nothing while nobody does.
 *
 * SIDE EFFECTS: asks the nodes and the scheduler when something happened.
 */
export class LiveFactsFeed {
  readonly #sources: FactSources;
  readonly #clock: Clock;
  readonly #today = new Today();
  readonly #watchers = new Set<(facts: LiveFacts) => void>();
  readonly #stop = new AbortController();
  #facts: LiveFacts | undefined;
  #gathering: Promise<LiveFacts> | undefined;
  #wanted: Occasion | undefined;
  #slowAt = 0;
  #lookedAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(sources: (signal: AbortSignal) => FactSources) {
    this.#sources = sources(this.#stop.signal);
    this.#clock = this.#sources.clock;
  }

  /** Facts not older than `maxAgeMs`; gathers them when needed. Errors: none but a stop. */
  async current(maxAgeMs: number): Promise<LiveFacts> {
    if (this.#facts !== undefined && this.#age(this.#lookedAt) <= maxAgeMs && this.#gathering === undefined) return this.#facts;
    return this.#gather("changed");
  }

  /** The newest facts at once if there are any, then each change. Returns a function that ends it. */
  watch(watcher: (facts: LiveFacts) => void): () => void {
    this.#watchers.add(watcher);
    if (this.#facts !== undefined) watcher(this.#facts);
    this.note("changed");
    return () => this.#watchers.delete(watcher);
  }

  /** Tells that something happened; while nobody watches it is only remembered that the facts are old. */
  note(occasion: Occasion): void {
    if (occasion !== "head") this.#lookedAt = 0;
    if (occasion === "settled") this.#slowAt = 0;
    if (this.#watchers.size === 0 || this.#stop.signal.aborted) return;
    if (occasion === "head" && this.#age(this.#lookedAt) < QUIET_MS) return;
    this.#wanted = occasion === "head" ? (this.#wanted ?? occasion) : occasion;
    if (this.#gathering !== undefined) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      void this.#gather(this.#wanted ?? "head");
    }, BUSY_MS);
  }

  close(): void {
    this.#stop.abort(new CodedError("WRK-1313"));
    clearTimeout(this.#timer);
    this.#watchers.clear();
  }

  #age(at: number): number {
    return this.#clock.now().getTime() - at;
  }

  #gather(occasion: Occasion): Promise<LiveFacts> {
    this.#gathering ??= this.#lookInTime(occasion).finally(() => {
      this.#gathering = undefined;
      if (this.#wanted !== undefined) this.note(this.#wanted);
    });
    this.#gathering.catch(() => undefined);
    return this.#gathering;
  }

  async #lookInTime(occasion: Occasion): Promise<LiveFacts> {
    using limit = openScope([this.#stop.signal], { ms: LOOK_MS, clock: this.#clock });
    return await orAborted(this.#look(occasion), limit.signal);
  }

  async #look(occasion: Occasion): Promise<LiveFacts> {
    this.#wanted = undefined;
    this.#lookedAt = this.#clock.now().getTime();
    const status = await gatherStatus(this.#sources);
    let facts = this.#tell({ ...NOTHING_YET, ...this.#facts, status });
    const slow = this.#age(this.#slowAt) >= SLOW_MS;
    if (slow) this.#slowAt = this.#lookedAt;
    const working = (status.local.journal?.replicates ?? []).some(({ closedAt }) => closedAt === undefined);
    const begun = facts.idle === undefined || facts.idle.facts.openTasks > 0 !== working;
    if (slow || begun || (occasion !== "head" && !working))
      facts = this.#tell({ ...facts, idle: { at: this.#clock.now(), facts: await gatherIdleFacts(this.#sources) } });
    return slow ? this.#tell({ ...facts, ...(await this.#money(status)) }) : facts;
  }

  async #money({
    local: { wallet, journal },
  }: StatusFacts): Promise<Pick<LiveFacts, "todayProblem"> | Pick<LiveFacts, "today" | "todayProblem">> {
    const at = this.#clock.now();
    if (wallet === undefined) return { todayProblem: undefined };
    try {
      const sum = await this.#sources.chain(journal, (chain) =>
        this.#today.look(chain, wallet, journal?.transactions ?? [], at, this.#sources.signal),
      );
      return { today: { at, sum }, todayProblem: undefined };
    } catch (thrown) {
      this.#stop.signal.throwIfAborted();
      this.#slowAt = 0;
      return { todayProblem: CodedError.from(thrown) };
    }
  }

  #tell(facts: LiveFacts): LiveFacts {
    this.#facts = facts;
    for (const watcher of this.#watchers) watcher(facts);
    return facts;
  }
}
