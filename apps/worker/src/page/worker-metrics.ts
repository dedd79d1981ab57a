import type { EndpointHealth, TxRecord, TxState } from "@iexec-ts/chain";
import type { ReplicateStatus } from "@iexec-ts/poco";
import type { Metrics } from "@iexec-ts/service";
import type { PageFacts } from "../cli/facts/page-facts.ts";
import type { StatusChange } from "../replicate/replicate.ts";
import { VERSION } from "../version.ts";
import { ComputeDurations, type JavaWorkerMetrics } from "./durations.ts";
import type { LiveFacts } from "./live-facts.ts";

const NANO_PER_RLC = 1e9;
const WEI_PER_COIN = 1e18;
const MIB = 1_048_576;
const DAY_MS = 86_400_000;
const SPENDING_DAYS = 7;

/** Dashboards may be drawn with floating point; money is counted elsewhere. */
const inRlc = (nano: bigint): number => Number(nano) / NANO_PER_RLC;
const inCoins = (wei: bigint): number => Number(wei) / WEI_PER_COIN;

const NODE_STATES: readonly EndpointHealth[] = ["alive", "out-of-sync", "unreachable", "wrong-chain", "undialed"];
const TX_STATES: readonly TxState[] = ["waiting", "sent", "mined", "final", "reverted", "cancelled", "refused", "expired"];
const ENDINGS: readonly TxState[] = ["mined", "final", "reverted", "cancelled", "refused", "expired"];
const LINKS: readonly PageFacts["link"][] = ["up", "degraded", "down"];

/** What the metrics are drawn from, at one moment. */
export interface MetricSources {
  readonly facts: LiveFacts;
  readonly page: PageFacts;
  readonly imageBytes: number | undefined;
  /** Time of the newest block. */
  readonly headAt: Date;
  readonly teeReady: Readonly<Record<"sgx" | "tdx", boolean>>;
  readonly stuckTasks: number;
}

export interface WorkerMetrics {
  noteStatus(change: StatusChange): void;
  noteTransaction(record: TxRecord): void;
  /** Before each answer. */
  refresh(sources: MetricSources): void;
  javaMetrics(): JavaWorkerMetrics;
}

/** Days the coins last at the pace of the last week; Infinity without spending. Coins are whole units. */
export function gasDaysLeft(coins: bigint, transactions: readonly TxRecord[], now: Date): number {
  const since = now.getTime() - SPENDING_DAYS * DAY_MS;
  const paid = transactions.filter(({ updatedAt, gasPaid }) => gasPaid !== undefined && updatedAt.getTime() >= since);
  const spent = paid.reduce((sum, { gasPaid = 0n }) => sum + gasPaid, 0n);
  if (spent === 0n) return Number.POSITIVE_INFINITY;
  const first = Math.min(...paid.map(({ updatedAt }) => updatedAt.getTime()));
  // A worker that is an hour old is not judged by its first minute.
  const days = Math.max((now.getTime() - first) / DAY_MS, 1);
  return inCoins(coins) / (inCoins(spent) / days);
}

/** The worker's metrics; each name, its unit and why it exists are also in docs/run/page.md and used by deploy/grafana. */
export function createWorkerMetrics(metrics: Metrics): WorkerMetrics {
  const durations = new ComputeDurations();
  const gauge = (name: string, help: string) => metrics.gauge({ name, help });

  const statuses = metrics.counter({ name: "replicate_statuses_total", help: "Statuses recorded, by name.", labels: ["status"] });
  const computing = metrics.histogram({
    name: "compute_seconds",
    help: "How long apps compute; tells slow apps from a slow host.",
    buckets: [1, 5, 15, 60, 300, 900, 3_600, 14_400],
  });
  const attempts = metrics.counter({
    name: "transaction_attempts_total",
    help: "Transactions signed and sent, bumps and cancels included.",
  });
  const ended = metrics.counter({ name: "transactions_total", help: "Transactions that ended, by how.", labels: ["state"] });

  const build = metrics.gauge({ name: "build_info", help: "Always 1; the version that runs.", labels: ["version"] });
  const tasks = metrics.gauge({ name: "tasks", help: "Tasks with something left to do, by status.", labels: ["status"] });
  const slots = gauge("slots", "Tasks computed at once at most.");
  const slotsInUse = gauge("slots_in_use", "Tasks that hold a computing slot.");
  const free = gauge("stake_free_rlc", "Stake that can be locked or withdrawn.");
  const locked = gauge("stake_locked_rlc", "Stake that contributions lock.");
  const atRisk = gauge("stake_at_risk_rlc", "Stake that is lost unless its result is revealed in time.");
  const score = gauge("score", "Score of the wallet on chain.");
  const weight = gauge("weight", "How much one contribution counts toward a consensus.");
  const gas = gauge("gas_balance_coins", "Coins that pay for gas.");
  const gasDays = gauge("gas_left_days", "How long these coins last at the pace of the last week.");
  const gasTasks = gauge("gas_left_tasks", "Tasks these coins pay for at the present price.");
  const pending = metrics.gauge({ name: "transactions_pending", help: "Transactions that are not settled, by state.", labels: ["state"] });
  const pendingAttempts = gauge(
    "transaction_pending_attempts",
    "Most attempts of a transaction that is not mined yet; many mean it is stuck.",
  );
  const reveal = gauge("reveal_deadline_seconds", "Time to the first reveal that is due; NaN when none is.");
  const diskFree = gauge("disk_free_bytes", "Free disk where tasks' files are kept.");
  const diskNeeded = gauge("disk_needed_bytes", "Free disk below which no task is asked for.");
  const images = gauge("image_disk_bytes", "Images this worker pulled.");
  const nodes = metrics.gauge({ name: "rpc_nodes", help: "Blockchain nodes, by state.", labels: ["state"] });
  const latency = gauge("rpc_latency_seconds", "Latency of the quickest node that is alive; NaN when none is.");
  const block = gauge("chain_head_block", "Number of the newest block.");
  const blockAge = gauge("chain_head_age_seconds", "Age of the newest block.");
  const link = metrics.gauge({ name: "link_state", help: "1 for the state the link to the scheduler is in.", labels: ["state"] });
  const linkAge = gauge("link_state_seconds", "How long the link has been in its state.");
  const halted = gauge("halted", "1 when the worker stopped asking for tasks to protect its stake.");
  const earned = gauge("earned_today_rlc", "Rewards of this UTC day.");
  const seized = gauge("seized_today_rlc", "Stake lost this UTC day.");
  const gasToday = gauge("gas_paid_today_coins", "Gas paid for tasks this UTC day.");
  const lastTask = gauge("last_task_seconds", "Time since anything happened to a task; NaN before the first.");
  const needs = metrics.gauge({ name: "needs", help: "Things that need the operator, by level.", labels: ["level"] });
  const factsAge = gauge("facts_age_seconds", "Age of what the chain said, for these metrics.");
  const chainReadable = gauge("chain_readable", "1 when the chain could be read for these metrics.");
  const tee = metrics.gauge({ name: "tee_ready", help: "1 when this machine can run trusted execution of this kind.", labels: ["kind"] });
  const stuck = gauge("stuck_tasks", "Tasks that made no progress for longer than what they do can explain.");
  // A rate needs the zero before the first.
  for (const state of ENDINGS) ended.add(0, { state });
  const seenStatuses = new Set<ReplicateStatus>();
  const signed = new Map<string, number>();

  function refreshMoney({ money, local, now }: LiveFacts["status"]): void {
    chainReadable.set(money === undefined ? 0 : 1);
    if (money === undefined) return;
    const due = money.locks.filter(({ revealBefore, revealed }) => revealBefore !== undefined && !revealed);
    free.set(inRlc(money.free));
    locked.set(inRlc(money.locked));
    atRisk.set(inRlc(due.reduce((sum, { amount }) => sum + amount, 0n)));
    score.set(Number(money.standing.score));
    weight.set(Number(money.standing.weight));
    gas.set(inCoins(money.native));
    gasDays.set(gasDaysLeft(money.native, local.journal?.transactions ?? [], now));
    const deadlines = due.map(({ revealBefore }) => revealBefore?.getTime() ?? Number.NaN);
    reveal.set(deadlines.length === 0 ? Number.NaN : (Math.min(...deadlines) - Date.now()) / 1_000);
  }

  function refreshTasks({ local }: LiveFacts["status"]): void {
    const open = (local.journal?.replicates ?? []).filter(({ closedAt }) => closedAt === undefined);
    for (const { status } of open) seenStatuses.add(status);
    for (const status of seenStatuses) tasks.set(open.filter((one) => one.status === status).length, { status });
    const last = Math.max(...(local.journal?.replicates ?? []).map(({ updatedAt }) => updatedAt.getTime()));
    lastTask.set(Number.isFinite(last) ? (Date.now() - last) / 1_000 : Number.NaN);
    const waiting = (local.journal?.transactions ?? []).filter(({ settled }) => !settled);
    for (const state of TX_STATES) pending.set(waiting.filter((record) => record.state === state).length, { state });
    const tries = waiting.filter(({ state }) => state === "waiting" || state === "sent").map((record) => record.attempts.length);
    pendingAttempts.set(Math.max(0, ...tries));
  }

  function refreshPage(page: PageFacts, headAt: Date): void {
    slots.set(page.slots);
    slotsInUse.set(page.slotsInUse);
    for (const state of LINKS) link.set(page.link === state ? 1 : 0, { state });
    linkAge.set((Date.now() - page.linkSince.getTime()) / 1_000);
    halted.set(page.halted === null ? 0 : 1);
    for (const state of NODE_STATES) nodes.set(page.nodes.filter(({ health }) => health === state).length, { state });
    const quick = page.nodes
      .filter(({ health, latencyMs }) => health === "alive" && latencyMs !== null)
      .map(({ latencyMs }) => latencyMs ?? 0);
    latency.set(quick.length === 0 ? Number.NaN : Math.min(...quick) / 1_000);
    block.set(Number(page.block));
    blockAge.set((Date.now() - headAt.getTime()) / 1_000);
  }

  return {
    noteStatus(change) {
      statuses.increment({ status: change.status });
      const seconds = durations.note(change);
      if (seconds !== undefined) computing.observe(seconds);
    },
    noteTransaction({ intent: { id }, state, attempts: { length }, settled }) {
      const before = signed.get(id) ?? 0;
      if (length > before) attempts.add(length - before);
      signed.set(id, length);
      if (!settled) return;
      if (signed.delete(id)) ended.increment({ state });
    },
    refresh({ facts, page, imageBytes, headAt, teeReady, stuckTasks }) {
      build.set(1, { version: VERSION });
      stuck.set(stuckTasks);
      refreshPage(page, headAt);
      refreshTasks(facts.status);
      refreshMoney(facts.status);
      factsAge.set((Date.now() - facts.status.now.getTime()) / 1_000);
      if (facts.status.freeMib !== undefined) diskFree.set(facts.status.freeMib * MIB);
      if (facts.idle !== undefined) diskNeeded.set(facts.idle.facts.disk.neededMib * MIB);
      if (imageBytes !== undefined) images.set(imageBytes);
      const chain = facts.idle?.facts.chain;
      if (chain?.problem === undefined && chain !== undefined && chain.gasForTask > 0n)
        gasTasks.set(Number(chain.native / chain.gasForTask));
      if (facts.today !== undefined) {
        earned.set(inRlc(facts.today.sum.earned));
        seized.set(inRlc(facts.today.sum.seized));
        gasToday.set(inCoins(facts.today.sum.gas));
      }
      for (const level of ["bad", "warn"] as const) needs.set(facts.status.needs.filter((need) => need.level === level).length, { level });
      for (const kind of ["sgx", "tdx"] as const) tee.set(teeReady[kind] ? 1 : 0, { kind });
    },
    javaMetrics: () => durations.javaMetrics(),
  };
}
