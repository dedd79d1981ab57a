import { type ChainTime, canFollow, isOpen, REPLICATE_STATUSES, type ReplicateStatus } from "@iexec-ts/poco";

/** What somebody waits for: the end of the task, its reveal phase, or a status of a replicate. */
export type Wish =
  | { readonly kind: "task"; readonly status: "COMPLETED" | "REVEALING" }
  | { readonly kind: "replicate"; readonly status: ReplicateStatus; readonly wallet: string | undefined };

export interface OutlookReplicate {
  readonly wallet: string;
  readonly status: ReplicateStatus;
  readonly cause?: string | null | undefined;
}

export interface OutlookTask {
  /** In the scheduler's words. */
  readonly status: string;
  /** The scheduler asks for one more worker: what it has and expects makes no consensus. */
  readonly wantsReplicates: boolean;
  readonly replicates: readonly OutlookReplicate[];
}

export interface OutlookChain {
  readonly status: string;
  readonly contributionDeadline: ChainTime;
  readonly revealDeadline: ChainTime;
  readonly finalDeadline: ChainTime;
  readonly revealCounter: bigint;
  /** Time of the latest block. */
  readonly now: ChainTime;
}

export interface OutlookWorker {
  readonly wallet: string;
  /** Why it will do nothing more; undefined while it is there. */
  readonly gone: string | undefined;
}

/** Everything the outlook is judged by; what is not known is undefined, and speaks for nothing. */
export interface Outlook {
  readonly task: OutlookTask | undefined;
  readonly chain: OutlookChain | undefined;
  /** All workers that could take the task, also those that have one of its replicates. */
  readonly workers: readonly OutlookWorker[];
  /** Who has not answered at all, for how long in milliseconds. */
  readonly silent: readonly { readonly who: string; readonly forMs: number; readonly reason: string }[];
}

/** A neighbour that is only restarted is back before. */
const SILENT_TOO_LONG_MS = 30_000;

const CONTRIBUTING: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
  "CREATED",
  "RUNNING",
  "APP_DOWNLOADING",
  "APP_DOWNLOADED",
  "DATA_DOWNLOADING",
  "DATA_DOWNLOADED",
  "COMPUTING",
  "COMPUTED",
  "CAN_CONTRIBUTE",
  "CONTRIBUTING",
  "CONTRIBUTED",
]);
const AFTER_CONSENSUS: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>([
  "REVEALING",
  "REVEALED",
  "RESULT_UPLOAD_REQUESTED",
  "RESULT_UPLOADING",
  "RESULT_UPLOADED",
  "COMPLETED",
]);
/** A worker that was lost, and comes back, is given its task again. */
const SECOND_TRY: ReadonlySet<ReplicateStatus> = new Set<ReplicateStatus>(["WORKER_LOST", "RECOVERING"]);

/** Every status that can follow each status, in any number of steps. */
const REACHABLE: ReadonlyMap<ReplicateStatus, ReadonlySet<ReplicateStatus>> = new Map(
  REPLICATE_STATUSES.map((from) => {
    const reached = new Set<ReplicateStatus>();
    const next: ReplicateStatus[] = [from];
    for (let at = next.pop(); at !== undefined; at = next.pop()) {
      for (const to of REPLICATE_STATUSES) {
        if (reached.has(to) || !canFollow(at, to)) continue;
        reached.add(to);
        next.push(to);
      }
    }
    return [from, reached];
  }),
);

/** Whether a replicate in one status can still come to another, in any number of steps. A second try begins anew. */
export const canReach = (from: ReplicateStatus, to: ReplicateStatus): boolean => REACHABLE.get(from)?.has(to) === true;

const isSame = (one: string, other: string): boolean => one.toLowerCase() === other.toLowerCase();

/** One sentence for each replicate: where it stands, and why. */
export const describeReplicates = (task: OutlookTask | undefined, nameOf: (wallet: string) => string = (wallet) => wallet): string =>
  task === undefined || task.replicates.length === 0
    ? "no worker has taken it"
    : task.replicates.map(({ wallet, status, cause }) => `${nameOf(wallet)} ${status}${cause ? ` (${cause})` : ""}`).join(", ");

interface Rule {
  readonly name: string;
  /** For wishes that an unlucky end would not fulfil. */
  readonly applies: (wish: Wish) => boolean;
  readonly why: (outlook: Outlook, wish: Wish) => string | undefined;
}

const needsContribution = (wish: Wish): boolean =>
  wish.kind === "task" || CONTRIBUTING.has(wish.status) || AFTER_CONSENSUS.has(wish.status);
const needsConsensus = (wish: Wish): boolean => wish.kind === "task" || AFTER_CONSENSUS.has(wish.status);
const isFinalWish = (wish: Wish): boolean => wish.status === "COMPLETED";

const hasEnded = (status: string): boolean => status === "COMPLETED" || status === "FAILED";

/** Replicates that could fulfil the wish. */
const candidates = ({ task }: Outlook, wish: Wish): readonly OutlookReplicate[] =>
  (task?.replicates ?? []).filter(({ wallet }) => wish.kind === "task" || wish.wallet === undefined || isSame(wallet, wish.wallet));

/** Workers that could still take a replicate of the task. */
const free = ({ task, workers }: Outlook): readonly OutlookWorker[] =>
  workers.filter(({ wallet, gone }) => {
    const own = task?.replicates.find((replicate) => isSame(replicate.wallet, wallet));
    return gone === undefined && (own === undefined || SECOND_TRY.has(own.status));
  });

/** In the order in which they explain most. */
const RULES: readonly Rule[] = [
  {
    name: "silence",
    applies: () => true,
    why({ silent }) {
      const first = silent.find(({ forMs }) => forMs >= SILENT_TOO_LONG_MS);
      return first === undefined ? undefined : `${first.who} has not answered for ${Math.round(first.forMs / 1_000)} s: ${first.reason}`;
    },
  },
  {
    name: "failed on chain",
    applies: isFinalWish,
    why: ({ chain }) => (chain?.status === "FAILED" ? "the task was claimed on chain: it has failed" : undefined),
  },
  {
    name: "given up by the pool",
    applies: isFinalWish,
    why: ({ task, chain }) =>
      task?.status === "FAILED" && chain?.status !== "COMPLETED" ? "the scheduler has given the task up" : undefined,
  },
  {
    name: "contribution deadline",
    applies: needsContribution,
    why({ chain }) {
      if (chain === undefined || (chain.status !== "ACTIVE" && chain.status !== "UNSET")) return undefined;
      return isOpen(chain.contributionDeadline, chain.now)
        ? undefined
        : "its contribution deadline has passed on chain without a consensus";
    },
  },
  {
    name: "nobody revealed",
    applies: isFinalWish,
    why({ chain }) {
      if (chain?.status !== "REVEALING" || chain.revealCounter > 0n || isOpen(chain.revealDeadline, chain.now)) return undefined;
      // Until then it can be reopened.
      return isOpen(chain.contributionDeadline, chain.now) ? undefined : "its reveal deadline has passed on chain and nobody revealed";
    },
  },
  {
    name: "final deadline",
    applies: isFinalWish,
    why({ chain }) {
      if (chain === undefined || hasEnded(chain.status) || isOpen(chain.finalDeadline, chain.now)) return undefined;
      return "its final deadline has passed on chain";
    },
  },
  {
    name: "the worker is gone",
    applies: (wish) => wish.kind === "replicate" && wish.wallet !== undefined,
    why({ workers }, wish) {
      const worker = workers.find(({ wallet }) => wish.kind === "replicate" && wish.wallet !== undefined && isSame(wallet, wish.wallet));
      return worker?.gone === undefined ? undefined : `its worker ${worker.wallet} is gone: ${worker.gone}`;
    },
  },
  {
    name: "nobody is left",
    applies: needsConsensus,
    why(outlook) {
      const { task, chain } = outlook;
      if (task === undefined || !task.wantsReplicates || task.replicates.length === 0) return undefined;
      if (chain !== undefined && chain.status !== "ACTIVE" && chain.status !== "UNSET") return undefined;
      if (free(outlook).length > 0) return undefined;
      const gone = outlook.workers.flatMap(({ wallet, gone: why }) => (why === undefined ? [] : [`${wallet}: ${why}`]));
      return `too few workers are left for the trust that was asked; every worker has tried${gone.length > 0 ? `, or is gone (${gone.join("; ")})` : ""}`;
    },
  },
  {
    name: "all workers are gone",
    applies: (wish) => needsContribution(wish),
    why({ workers, chain }) {
      if (workers.length === 0 || workers.some(({ gone }) => gone === undefined)) return undefined;
      if (chain !== undefined && hasEnded(chain.status)) return undefined;
      return `no worker is left: ${workers.map(({ wallet, gone }) => `${wallet}: ${gone}`).join("; ")}`;
    },
  },
  {
    name: "another end",
    applies: (wish) => wish.kind === "replicate",
    why(outlook, wish) {
      const { task } = outlook;
      if (wish.kind !== "replicate" || task === undefined) return undefined;
      const those = candidates(outlook, wish);
      const over = hasEnded(task.status);
      // While the task is open, a worker without a replicate may be given one.
      if (!over && (those.length === 0 || wish.wallet === undefined)) return undefined;
      return those.some(({ status }) => status === wish.status || canReach(status, wish.status))
        ? undefined
        : `no replicate can come to ${wish.status} any more; the task is ${task.status}`;
    },
  },
];

/**
 * Why what somebody waits for cannot come any more; undefined while it can. A scheduler gives a task to another worker when one fails: only
 * what no worker can mend is impossible. The caller gives it a moment before it believes an answer, since facts are read one after the other.
 *
 * Deterministic and total: no clock, no I/O.
 */
export function whyImpossible(outlook: Outlook, wish: Wish): string | undefined {
  for (const rule of RULES) {
    if (!rule.applies(wish)) continue;
    const why = rule.why(outlook, wish);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** How long an answer must stand before it is believed: a failed replicate may be followed by another step within this time. */
export const BELIEVED_AFTER_MS = 10_000;

/** Believes that something is impossible only when it has been so for a while. */
export class Doubt {
  readonly #now: () => number;
  #since: number | undefined;

  /** @param now - a clock that never goes back, in milliseconds */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @returns the reason, once there has been one without a break for BELIEVED_AFTER_MS */
  look(why: string | undefined): string | undefined {
    if (why === undefined) {
      this.#since = undefined;
      return undefined;
    }
    this.#since ??= this.#now();
    return this.#now() - this.#since >= BELIEVED_AFTER_MS ? why : undefined;
  }
}
