/** What the page shows, as JSON: made by the worker, read by the browser. Amounts are texts with their unit, times ISO. */

export type Mark = "ok" | "note" | "warn" | "bad";

/** A sentence; its instants are shown relative to now. */
export type Phrase = readonly (string | { readonly at: string })[];

export interface Trouble {
  readonly code: string;
  readonly text: string;
  readonly fix: string;
}

export interface NodeView {
  readonly url: string;
  readonly health: string;
  readonly height: string | null;
  readonly latencyMs: number | null;
  readonly lastError: string | null;
}

export interface StatusView {
  readonly name: string;
  readonly version: string;
  readonly wallet: string;
  readonly state: string;
  readonly startedAt: string;
  readonly link: { readonly mark: Mark; readonly text: string; readonly since: string };
  readonly halted: string | null;
  /** Why it asks for no task now. */
  readonly refusal: Trouble | null;
  readonly slots: number;
  readonly slotsInUse: number;
  readonly openTasks: number;
  readonly block: string;
  readonly nodes: readonly NodeView[];
}

export interface WalletView {
  readonly workerpool: string;
  readonly chainId: number;
  readonly free: string;
  readonly locked: string;
  readonly gas: string;
  readonly score: string;
  readonly weight: string;
  readonly missing: string;
  readonly nextWeight: string;
  readonly locks: readonly { readonly taskId: string; readonly amount: string; readonly until: string }[];
}

export interface TaskView {
  readonly taskId: string;
  readonly status: string;
  readonly meaning: string;
  readonly since: string;
  readonly stake: string;
  readonly open: boolean;
  readonly deadline: { readonly what: "reveal" | "final"; readonly at: string } | null;
}

export interface NeedView {
  readonly level: "bad" | "warn";
  readonly text: string;
  readonly command: string | null;
}

export interface IdleView {
  readonly at: string;
  readonly verdict: string;
  readonly reasons: readonly {
    readonly blocks: boolean;
    readonly text: string;
    readonly evidence: string;
    readonly since: string | null;
    readonly command: string | null;
  }[];
}

export interface TodayView {
  readonly at: string;
  /** UTC. */
  readonly day: string;
  readonly earned: string;
  readonly seized: string;
  readonly net: string;
  readonly gas: string;
  readonly tasks: number;
}

export interface MachineView {
  readonly host: string;
  readonly os: string;
  readonly cpus: number;
  readonly memory: string;
  readonly node: string;
  readonly engine: string;
  readonly ignoredLimits: readonly string[];
  readonly disk: { readonly free: string; readonly needed: string; readonly path: string; readonly low: boolean } | null;
  readonly gpu: boolean;
  readonly tee: string;
}

export interface Overview {
  readonly at: string;
  readonly truth: { readonly mark: Mark; readonly phrase: Phrase };
  readonly status: StatusView;
  readonly wallet: WalletView | Trouble;
  readonly tasks: readonly TaskView[];
  readonly needs: readonly NeedView[];
  /** Null until it has been looked at. */
  readonly idle: IdleView | null;
  readonly today: TodayView | Trouble | null;
  readonly machine: MachineView;
}

export interface TaskDetail {
  readonly taskId: string;
  readonly dealId: string;
  readonly taskIndex: number;
  readonly status: string;
  readonly meaning: string;
  readonly advice: string;
  readonly since: string;
  readonly stakeText: string;
  readonly finalDeadline: string;
  readonly failure: string | null;
  readonly digest: string | null;
  readonly resultLink: string | null;
  readonly history: readonly { readonly seq: number; readonly status: string; readonly cause: string | null; readonly at: string }[];
  readonly transactions: readonly {
    readonly id: string;
    readonly state: string;
    readonly hash: string | null;
    readonly attempts: number;
    readonly note: string | null;
  }[];
}
