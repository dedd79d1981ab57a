import { isFinal } from "@iexec-ts/poco";
import type { Doing } from "../../control/doing.ts";
import type { WorkerState } from "../../control/operation.ts";
import type { Context } from "../context.ts";
import { fromOutside } from "../facts/fact-sources.ts";
import type { LocalFacts } from "../facts/local-facts.ts";
import type { Need } from "../facts/needs.ts";
import { gatherStatus, type Money } from "../facts/status-facts.ts";
import { EXIT, type Report } from "../report.ts";
import { briefCoins, rlc } from "../view/amounts.ts";
import type { Style } from "../view/style.ts";
import { shorten, table } from "../view/table.ts";
import { exact, relative, span } from "../view/time.ts";

/** The worker on one screen; what the chain adds is left out when no node answers, and said so. */
export async function status(context: Context): Promise<Report> {
  const { settings } = context;
  const { local, money, needs, now } = await gatherStatus(fromOutside(context));
  const open = (local.journal?.replicates ?? []).filter(({ closedAt }) => closedAt === undefined);
  const page = local.running.kind === "running" ? local.running.page : undefined;
  const running = local.running.kind === "running";
  const doing = doingIn(local);
  return {
    data: {
      name: settings.name,
      wallet: local.wallet ?? null,
      running,
      state: stateOf(local),
      stateSince: doing === undefined ? null : exact(doing.since),
      pausedUntil: pausedUntil(local),
      refusal: doing?.refusal === undefined ? null : { ...doing.refusal, since: exact(doing.refusal.since) },
      version: page?.version ?? null,
      upSince: page === undefined ? null : exact(page.startedAt),
      scheduler: page === undefined ? null : { link: page.link, since: exact(page.linkSince) },
      slots: page === undefined ? null : { inUse: page.slotsInUse, all: page.slots },
      money:
        money === undefined
          ? null
          : {
              nativeWei: money.native.toString(),
              freeNano: money.free.toString(),
              lockedNano: money.locked.toString(),
              score: money.standing.score.toString(),
              weight: money.standing.weight.toString(),
            },
      tasks: open.map(({ taskId, status: state, updatedAt, stake }) => ({
        taskId,
        status: state,
        since: exact(updatedAt),
        stakeNano: stake.toString(),
      })),
      needs: needs.map((need) => ({ level: need.level, text: need.text, command: need.command ?? null })),
    },
    text: (style) => {
      const state = `${stateOf(local)}${running && needs.some(({ level }) => level === "bad") ? ", NEEDS YOU" : ""}`;
      const up = page === undefined ? "" : `  up ${span(now.getTime() - page.startedAt.getTime())}`;
      const head = `${style.strong(settings.name)}  v${page?.version ?? "?"}  ${style.strong(state)}${up}`;
      const pool = money === undefined ? "" : `   pool ${shorten(money.workerpool, 14)}  chain ${money.chainId}`;
      return [
        head + pool,
        ...panels(style, { local, money, open: open.length, now }),
        ...doingLines(style, local, now),
        ...taskTable(style, local, money, now),
        ...needLines(style, needs),
      ].join("\n");
    },
    next: open.length === 0 ? ["iexec-worker why-idle"] : ["iexec-worker task show TASK"],
    exit: EXIT.ok,
  };
}

/** A worker that does not run is stopped, whatever it is to do when it starts. */
const stateOf = (local: LocalFacts): WorkerState => (local.running.kind === "stopped" ? "STOPPED" : (doingIn(local)?.state ?? "RUNNING"));

const doingIn = ({ running }: LocalFacts): Doing | undefined =>
  running.kind === "running" ? (running.doing ?? running.page?.doing) : undefined;

function pausedUntil(local: LocalFacts): string | null {
  const doing = doingIn(local);
  const until = doing === undefined ? local.journal?.pause?.until : doing.pausedUntil;
  return until === undefined ? null : exact(until);
}

/** Why no task is asked for, when the worker or the journal says so. */
function doingLines(style: Style, local: LocalFacts, now: Date): readonly string[] {
  const doing = doingIn(local);
  const pause =
    doing === undefined ? local.journal?.pause : doing.state === "PAUSED" ? { since: doing.since, until: doing.pausedUntil } : undefined;
  if (pause !== undefined)
    return [
      `${style.mark("warn")} paused ${relative(pause.since, now)}, ${pause.until === undefined ? "until you resume it" : `until ${exact(pause.until)} (${relative(pause.until, now)})`}`,
    ];
  if (doing?.state === "DRAINING") return [`${style.mark("warn")} draining: no new task; it stops when what is under way is done`];
  return doing?.refusal === undefined
    ? []
    : [
        `${style.mark("note")} asks for no task ${span(now.getTime() - doing.refusal.since.getTime())}: ${doing.refusal.message} (${doing.refusal.code})`,
      ];
}

function panels(
  style: Style,
  { local, money, open, now }: { local: LocalFacts; money: Money | undefined; open: number; now: Date },
): readonly string[] {
  const { running } = local;
  const page = running.kind === "running" ? running.page : undefined;
  const lines: string[] = [];
  if (page !== undefined) {
    const link = { up: "ok", degraded: "warn", down: "bad" } as const;
    const words = { up: "connected", degraded: "slow: no push channel", down: "not reached" } as const;
    lines.push(
      `${style.mark(link[page.link])} scheduler ${words[page.link]} ${span(now.getTime() - page.linkSince.getTime())}   ${style.mark("ok")} ${page.slotsInUse} of ${page.slots} slots busy   ${style.mark(open > 0 ? "ok" : "note")} ${open} tasks open`,
    );
  } else if (running.kind === "running")
    lines.push(`${style.mark("warn")} it runs (${running.holder}), but its page does not answer   ${open} tasks open`);
  else lines.push(`${style.mark(open > 0 ? "bad" : "note")} no worker runs with this wallet   ${open} tasks open`);
  if (money !== undefined) {
    const reveal = money.locks.filter(({ revealBefore, revealed }) => revealBefore !== undefined && !revealed);
    const [first] = reveal;
    const due =
      first?.revealBefore === undefined ? "" : `   ${style.mark("warn")} ${reveal.length} reveals due ${relative(first.revealBefore, now)}`;
    lines.push(`   stake ${rlc(money.free)} free, ${rlc(money.locked)} locked   gas ${briefCoins(money.native, money.symbol)}${due}`);
    const { score, weight, missing, nextWeight } = money.standing;
    lines.push(`   score ${score}, weight ${weight} (${missing} more to weight ${nextWeight})`);
  }
  return lines;
}

function taskTable(style: Style, { journal }: LocalFacts, money: Money | undefined, now: Date): readonly string[] {
  const replicates = [...(journal?.replicates ?? [])].reverse();
  const open = replicates.filter(({ closedAt }) => closedAt === undefined);
  const shown = open.length > 0 ? open : replicates.slice(0, 3);
  if (shown.length === 0) return [style.faint("   no task so far")];
  const lockOf = (taskId: string) => money?.locks.find((lock) => lock.taskId === taskId);
  return [
    "",
    table(
      [
        { title: open.length > 0 ? "TASK" : "LAST TASKS", value: ({ taskId }) => taskId, max: 14 },
        { title: "STATUS", value: ({ status: state }) => state },
        { title: "SINCE", value: ({ updatedAt }) => relative(updatedAt, now) },
        {
          title: "NEXT DEADLINE",
          value: ({ taskId, status: state, finalDeadline }) => {
            if (isFinal(state)) return "-";
            const reveal = lockOf(taskId)?.revealBefore;
            return reveal === undefined
              ? `final ${relative(new Date(Number(finalDeadline) * 1_000), now)}`
              : `reveal ${relative(reveal, now)}`;
          },
        },
        { title: "STAKE", value: ({ stake }) => rlc(stake), align: "right" },
      ],
      shown,
      style,
    ),
  ];
}

function needLines(style: Style, needs: readonly Need[]): readonly string[] {
  if (needs.length === 0) return ["", `${style.mark("ok")} nothing needs you`];
  return [
    "",
    style.strong(`Needs you (${needs.length})`),
    ...needs.flatMap(({ level, text, command }) => [
      `${style.mark(level)} ${text}`,
      ...(command === undefined ? [] : [`   -> ${command}`]),
    ]),
  ];
}
