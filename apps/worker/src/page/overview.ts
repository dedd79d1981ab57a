import { isFinal, statusRow } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { idleReasons, idleVerdict } from "../cli/facts/idle-reasons.ts";
import type { PageFacts } from "../cli/facts/page-facts.ts";
import type { Money, StatusFacts } from "../cli/facts/status-facts.ts";
import type { Sum } from "../cli/money/summary.ts";
import { briefCoins, rlc } from "../cli/view/amounts.ts";
import type { WorkerSettings } from "../config.ts";
import type { Replicate } from "../replicate/replicate.ts";
import type { LiveFacts } from "./live-facts.ts";
import type { IdleView, MachineView, Mark, Overview, Phrase, StatusView, TaskView, TodayView, Trouble, WalletView } from "./model.ts";

const SHOWN_TASKS = 20;

const troubleOf = ({ code, message, fix }: CodedError): Trouble => ({ code, text: message, fix });

/** The page as JSON. Pure. */
export function overviewOf(facts: LiveFacts, settings: WorkerSettings, page: PageFacts, machine: MachineView): Overview {
  const { status, idle, today, todayProblem } = facts;
  const { money, problem, needs, now, local } = status;
  const replicates = [...(local.journal?.replicates ?? [])].reverse();
  const open = replicates.filter(({ closedAt }) => closedAt === undefined);
  const shown = [...open, ...replicates.filter(({ closedAt }) => closedAt !== undefined)].slice(0, Math.max(SHOWN_TASKS, open.length));
  const idleView = idle === undefined ? null : idleOf(idle);
  return {
    at: now.toISOString(),
    truth: truthOf(status, open.length, idleView, today?.sum),
    status: statusOf(settings, page, open.length),
    wallet: money === undefined ? troubleOf(problem ?? new CodedError("WRK-2009", { reason: "not asked yet" })) : walletOf(money),
    tasks: shown.map((replicate) => taskOf(replicate, money)),
    needs: needs.map(({ level, text, command }) => ({ level, text, command: command ?? null })),
    idle: idleView,
    today: todayProblem !== undefined ? troubleOf(todayProblem) : today === undefined ? null : todayOf(today, money?.symbol),
    machine,
  };
}

const LINKS: Readonly<Record<PageFacts["link"], readonly [Mark, string]>> = {
  up: ["ok", "connected"],
  degraded: ["warn", "slow: no push channel"],
  down: ["bad", "not reached"],
};

const statusOf = (settings: WorkerSettings, page: PageFacts, openTasks: number): StatusView => ({
  name: settings.name,
  version: page.version,
  wallet: page.wallet,
  state: page.halted === null ? (page.doing?.state ?? "RUNNING") : "HALTED",
  refusal:
    page.doing?.refusal === undefined
      ? null
      : { code: page.doing.refusal.code, text: page.doing.refusal.message, fix: page.doing.refusal.fix },
  startedAt: page.startedAt.toISOString(),
  link: { mark: LINKS[page.link][0], text: LINKS[page.link][1], since: page.linkSince.toISOString() },
  halted: page.halted,
  slots: page.slots,
  slotsInUse: page.slotsInUse,
  openTasks,
  block: page.block.toString(),
  nodes: page.nodes.map(({ url, health, height, latencyMs, lastError }) => ({
    url,
    health,
    height: height?.toString() ?? null,
    latencyMs,
    lastError,
  })),
});

const walletOf = (money: Money): WalletView => ({
  workerpool: money.workerpool,
  chainId: money.chainId,
  free: rlc(money.free),
  locked: rlc(money.locked),
  gas: briefCoins(money.native, money.symbol),
  score: money.standing.score.toString(),
  weight: money.standing.weight.toString(),
  missing: money.standing.missing.toString(),
  nextWeight: money.standing.nextWeight.toString(),
  locks: money.locks.map(({ taskId, amount, until }) => ({ taskId, amount: rlc(amount), until: until.toISOString() })),
});

function taskOf({ taskId, status, updatedAt, stake, closedAt, finalDeadline }: Replicate, money: Money | undefined): TaskView {
  const lock = money?.locks.find((known) => known.taskId === taskId);
  const reveal = lock?.revealed === false ? lock.revealBefore : undefined;
  const final = new Date(Number(finalDeadline) * 1_000);
  return {
    taskId,
    status,
    meaning: statusRow(status).meaning,
    since: updatedAt.toISOString(),
    stake: rlc(stake),
    open: closedAt === undefined,
    deadline: isFinal(status)
      ? null
      : reveal === undefined
        ? { what: "final", at: final.toISOString() }
        : { what: "reveal", at: reveal.toISOString() },
  };
}

function idleOf({ at, facts }: NonNullable<LiveFacts["idle"]>): IdleView {
  const reasons = idleReasons(facts);
  return {
    at: at.toISOString(),
    verdict: idleVerdict(reasons, facts.openTasks),
    reasons: reasons.map(({ blocks, text, evidence, since, command }) => ({
      blocks,
      text,
      evidence,
      since: since?.toISOString() ?? null,
      command: command ?? null,
    })),
  };
}

const todayOf = ({ at, sum }: NonNullable<LiveFacts["today"]>, symbol: string | undefined): TodayView => ({
  at: at.toISOString(),
  day: sum.key,
  earned: rlc(sum.earned),
  seized: rlc(sum.seized),
  net: rlc(sum.earned - sum.seized),
  gas: briefCoins(sum.gas, symbol),
  tasks: sum.tasks,
});

const count = (n: number, thing: string): string => `${n} ${thing}${n === 1 ? "" : "s"}`;

/** The worker in one sentence or two: what it does, what is due, what it earned today, whether anybody is needed. */
function truthOf({ money, needs }: StatusFacts, openTasks: number, idle: IdleView | null, today: Sum | undefined): Overview["truth"] {
  const due = (money?.locks ?? []).filter(({ revealBefore, revealed }) => revealBefore !== undefined && !revealed);
  const first = due.map(({ revealBefore }) => revealBefore?.toISOString() ?? "").sort()[0];
  const phrase: (string | { readonly at: string })[] = [
    openTasks > 0 ? `Working on ${count(openTasks, "task")}.` : idle === null ? "Running; no task is open." : `${idle.verdict}.`,
  ];
  if (first !== undefined) phrase.push(` ${count(due.length, "reveal")} due `, { at: first }, ".");
  if (today !== undefined) phrase.push(today.earned > 0n ? ` Earned ${rlc(today.earned)} today.` : " Nothing earned yet today.");
  if (today !== undefined && today.seized > 0n) phrase.push(` Lost ${rlc(today.seized)} of stake today.`);
  phrase.push(
    needs.length === 0 ? " Nothing needs you." : ` ${count(needs.length, "thing")} ${needs.length === 1 ? "needs" : "need"} you.`,
  );
  const blocked = openTasks === 0 && idle?.reasons.some(({ blocks }) => blocks) === true;
  const mark: Mark = needs.some(({ level }) => level === "bad") ? "bad" : needs.length > 0 || blocked ? "warn" : "ok";
  return { mark, phrase: phrase satisfies Phrase };
}
