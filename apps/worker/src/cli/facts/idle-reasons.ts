import type { Doing } from "../../control/doing.ts";
import { loopWords } from "../../loop-words.ts";
import { coins, gwei, rlc } from "../view/amounts.ts";

/** What was seen from outside; undefined where it could not be looked at. */
export interface IdleFacts {
  readonly openTasks: number;
  readonly wallet: { readonly problem: string | undefined };
  readonly running: { readonly yes: boolean; readonly holder: string | undefined };
  readonly page:
    | {
        readonly link: "up" | "degraded" | "down";
        readonly linkSince: Date;
        readonly halted: string | undefined;
        readonly slots: number;
        readonly slotsInUse: number;
      }
    | undefined;
  /** What the running worker says of itself. */
  readonly doing?: Doing | undefined;
  /** What the journal says of a worker that does not run. */
  readonly pause?: { readonly since: Date; readonly until: Date | undefined } | undefined;
  readonly scheduler: { readonly url: string; readonly problem: string | undefined; readonly required: string; readonly announced: string };
  readonly disk: { readonly freeMib: number | undefined; readonly neededMib: number; readonly path: string };
  readonly chain:
    | {
        readonly problem: undefined;
        readonly free: bigint;
        readonly promised: bigint;
        readonly recentStake: bigint;
        readonly native: bigint;
        readonly symbol: string;
        readonly gasPrice: bigint;
        readonly gasCap: bigint;
        readonly gasForTask: bigint;
      }
    | { readonly problem: string };
  readonly lastTask:
    | {
        readonly at: Date;
        readonly status: string;
        /** Why the operator's policy did not take it, if that is how it ended. */
        readonly refused?: string | undefined;
      }
    | undefined;
}

export interface IdleReason {
  readonly id: string;
  /** False: it explains, but nothing is wrong on this machine. */
  readonly blocks: boolean;
  readonly text: string;
  readonly evidence: string;
  readonly since?: Date;
  readonly command?: string;
}

/** Why no task comes, what stops everything else first. Pure and total: without any fault the answer is that nobody needs us now. */
export function idleReasons(facts: IdleFacts): readonly IdleReason[] {
  const reasons: IdleReason[] = [];
  const add = (id: string, text: string, evidence: string, more: { since?: Date; command?: string; blocks?: boolean } = {}) =>
    reasons.push({ id, blocks: true, text, evidence, ...more });
  const { wallet, running, page, scheduler, disk, chain, lastTask } = facts;

  if (wallet.problem !== undefined)
    add("no-wallet", "there is no usable wallet", wallet.problem, { command: "iexec-worker wallet create" });
  // A start would only be refused.
  if (scheduler.required !== "" && scheduler.required !== scheduler.announced)
    add(
      "version-refused",
      "the pool refuses this version",
      `it requires ${scheduler.required}, this worker announces ${scheduler.announced}`,
      {
        command: `set IEXEC_WORKER_ANNOUNCE_VERSION=${scheduler.required} if the pool's operator agrees`,
      },
    );
  if (!running.yes)
    add("not-running", "the worker is not running", "nobody holds the lock of this wallet, and no page answers", {
      command: "iexec-worker start",
      ...(lastTask === undefined ? {} : { since: lastTask.at }),
    });
  addOperation(facts, add);
  addStanding(facts, add);
  if (page?.halted !== undefined)
    add("halted", "the worker takes no more tasks", `it stopped asking with ${page.halted}`, { command: "its log has the whole error" });
  if (scheduler.problem !== undefined)
    add("scheduler-unreachable", "the scheduler cannot be reached", `${scheduler.url}: ${scheduler.problem}`, {
      command: "iexec-worker config explain coreUrl",
    });
  else if (page?.link === "down")
    add("link-down", "the worker has no link to its scheduler", "the scheduler answers, but not to this worker: is the wallet allowed?", {
      since: page.linkSince,
      command: "iexec-worker doctor",
    });
  const { refusal } = facts.doing ?? {};
  if (refusal !== undefined && !TOLD_APART.has(refusal.code))
    add(REFUSAL_IDS[refusal.code] ?? "refuses", lowerFirst(refusal.message), `the worker itself says ${refusal.code}`, {
      since: refusal.since,
      command: refusal.fix,
    });
  if (disk.freeMib !== undefined && disk.freeMib < disk.neededMib)
    add("low-disk", "too little disk is free", `${disk.freeMib} MiB in ${disk.path}, ${disk.neededMib} MiB are needed`, {
      command: "iexec-worker image prune --dry-run",
    });
  if (chain.problem !== undefined)
    add("chain-unreadable", "no blockchain node can be used", chain.problem, { command: "iexec-worker doctor" });
  else {
    if (chain.gasPrice > 0n && chain.native < chain.gasForTask)
      add(
        "out-of-gas",
        "the wallet cannot pay the gas of a task",
        `${coins(chain.native, chain.symbol)} there, a task takes ${coins(chain.gasForTask, chain.symbol)} now`,
        {
          command: "send coins to the address of `iexec-worker wallet show`",
        },
      );
    if (chain.gasPrice > chain.gasCap)
      add("gas-above-cap", "gas is dearer than your cap", `${gwei(chain.gasPrice)} now, the cap is ${gwei(chain.gasCap)}`, {
        command: "iexec-worker config explain gasPriceCap",
      });
    const spare = chain.free - chain.promised;
    if (chain.recentStake > 0n && spare < chain.recentStake)
      add(
        "stake-too-low",
        "the free stake is too low",
        `${rlc(spare)} free, the last tasks of this pool locked ${rlc(chain.recentStake)} each`,
        {
          command: "iexec-worker wallet deposit AMOUNT",
        },
      );
    else if (chain.recentStake === 0n && chain.free === 0n)
      add("no-stake", "no stake is deposited; only pools without stake give tasks", `${rlc(0n)} free`, {
        blocks: false,
        command: "iexec-worker wallet deposit AMOUNT",
      });
  }
  if (page !== undefined && page.slotsInUse >= page.slots)
    add("no-free-slot", "every slot is busy", `${page.slotsInUse} of ${page.slots} compute now`, {
      blocks: false,
      command: "iexec-worker task list --open",
    });
  if (lastTask?.refused !== undefined)
    add("policy-refuses", "your policy refused the last task", lastTask.refused, {
      since: lastTask.at,
      command: "iexec-worker policy show",
    });
  if (reasons.every(({ blocks }) => !blocks) && facts.openTasks === 0)
    add(
      "no-task-for-us",
      "the pool has no task for this worker now",
      `the worker asks all the time${lastTask === undefined ? "; it never got one" : `; its last task ended as ${lastTask.status}`}`,
      { blocks: false, ...(lastTask === undefined ? {} : { since: lastTask.at }) },
    );
  return reasons;
}

/** Refusals of the worker that have a reason of their own above or below. */
const TOLD_APART: ReadonlySet<string> = new Set(["WRK-1003", "WRK-1510", "WRK-1511"]);
const REFUSAL_IDS: Readonly<Record<string, string>> = {
  "WRK-1531": "outside-hours",
  "WRK-1532": "user-active",
  "WRK-1533": "load-too-high",
  "WRK-1534": "on-battery",
  "WRK-1535": "disk-budget",
};
const lowerFirst = (text: string): string => text.slice(0, 1).toLowerCase() + text.slice(1);

/** Paused or draining: the operator's own wish. */
function addOperation(
  { doing, pause, running }: IdleFacts,
  add: (id: string, text: string, evidence: string, more: { since?: Date; command?: string }) => void,
): void {
  const paused =
    doing?.state === "PAUSED" ? { since: doing.since, until: doing.pausedUntil } : running.yes && doing !== undefined ? undefined : pause;
  if (paused !== undefined)
    add("paused", "you paused the worker", paused.until === undefined ? "until `resume`" : `until ${paused.until.toISOString()}`, {
      since: paused.since,
      command: "iexec-worker resume",
    });
  if (doing?.state === "DRAINING" || doing?.state === "DRAINED")
    add("draining", "the worker is draining: it finishes what is under way, then stops", `state ${doing.state} (WRK-1511)`, {
      since: doing.since,
      command: "iexec-worker resume",
    });
}

/** Loops and tasks that do not move. */
function addStanding(
  { doing }: IdleFacts,
  add: (id: string, text: string, evidence: string, more: { since?: Date; command?: string; blocks?: boolean }) => void,
): void {
  for (const { loop, of, since, restarts, mendedAt } of doing?.stalls ?? []) {
    const words = loopWords({ loop, of });
    const seen = `started again ${restarts === 1 ? "once" : `${restarts} times`} (SVC-1501)`;
    if (mendedAt === undefined) add("loop-stands", `${words} stands still`, seen, { since, command: "iexec-worker stop" });
    else
      add("loop-stood", `${words} stood still for a while and goes on`, `${seen}, it moves since ${mendedAt.toISOString()}`, {
        since,
        blocks: false,
        command: "iexec-worker support bundle",
      });
  }
  for (const { taskId, status, since, because } of doing?.stuck ?? [])
    add("task-stands", `task ${taskId} does not get on`, `it is ${status}: ${because}`, {
      since,
      command: `iexec-worker task show ${taskId}`,
    });
}

/** The answer in one line. */
export function idleVerdict(reasons: readonly IdleReason[], openTasks: number): string {
  const [top] = reasons;
  if (top === undefined) return `Not idle: ${openTasks} tasks are open.`;
  if (reasons.some(({ blocks }) => blocks)) return `Idle because ${top.text}`;
  return openTasks > 0 ? `Working; ${top.text}` : `Ready and waiting: ${top.text}`;
}
