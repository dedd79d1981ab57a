import type {
  IdleView,
  MachineView,
  NeedView,
  NodeView,
  Overview,
  StatusView,
  TaskView,
  TodayView,
  Trouble,
  WalletView,
} from "../model.ts";
import { age, type Child, command, copy, el, list, mark, short, time } from "./dom.ts";

const isTrouble = (view: object): view is Trouble => "code" in view;

/** What to show where facts are missing: why, and what to do. */
export const trouble = ({ code, text, fix }: Trouble): readonly Child[] => [
  el("p", {}, mark("bad", "Not readable"), ` ${text} (${code})`),
  el("p", {}, `→ ${fix}`),
  el("p", { class: "faint" }, "It is tried again by itself."),
];

const loading = (what: string): readonly Child[] => [el("p", { class: "faint" }, `Looking at ${what}…`)];

const NODE_MARK: Readonly<Record<string, "ok" | "warn" | "bad">> = { alive: "ok", "out-of-sync": "warn", undialed: "warn" };

const nodeLine = ({ url, health, height, latencyMs, lastError }: NodeView): HTMLElement =>
  el(
    "div",
    {},
    mark(NODE_MARK[health] ?? "bad", health),
    ` ${url}${height === null ? "" : `, block ${height}`}${latencyMs === null ? "" : `, ${Math.round(latencyMs)} ms`}`,
    lastError === null || health === "alive" ? undefined : el("div", { class: "faint" }, lastError),
  );

export function statusPanel(view: StatusView): readonly Child[] {
  return [
    list([
      ["Scheduler", [mark(view.link.mark, view.link.text), " for ", age(view.link.since)]],
      ["Slots busy", `${view.slotsInUse} of ${view.slots}`],
      ["Open tasks", String(view.openTasks)],
      ["Up", [age(view.startedAt)]],
      ["Version", view.version],
      ["Nodes", view.nodes.map(nodeLine)],
    ]),
    view.halted === null ? undefined : el("p", {}, mark("bad", "Halted"), ` It takes no more tasks (${view.halted}).`),
    view.refusal === null ? undefined : el("p", {}, mark("warn", "Asks for no task"), ` ${view.refusal.text} (${view.refusal.code})`),
  ];
}

export function walletPanel(view: WalletView | Trouble, wallet: string): readonly Child[] {
  const address: readonly Child[] = [short(wallet), " ", copy(wallet, "the wallet's address")];
  if (isTrouble(view)) return [list([["Address", address]]), ...trouble(view)];
  return [
    list([
      ["Stake free", view.free, "big"],
      ["Stake locked", view.locked],
      ["For gas", view.gas],
      ["Score", `${view.score}, weight ${view.weight} (${view.missing} more to weight ${view.nextWeight})`],
      ["Address", address],
      ["Pool", [short(view.workerpool), ` on chain ${view.chainId}`]],
    ]),
    view.locks.length === 0
      ? undefined
      : el(
          "div",
          { class: "faint" },
          ...view.locks.map(({ taskId, amount, until }) =>
            el("div", {}, `${amount} locked by `, short(taskId), ", at the latest until ", time(until)),
          ),
        ),
  ];
}

export function todayPanel(view: TodayView | Trouble | null): readonly Child[] {
  if (view === null) return loading("the chain's events");
  if (isTrouble(view)) return trouble(view);
  return [
    list([
      ["Net", view.net, "big"],
      ["Earned", view.earned],
      ["Seized", view.seized],
      ["Gas", view.gas],
      ["Tasks settled", String(view.tasks)],
    ]),
    el("p", { class: "faint" }, `${view.day} (UTC), looked at `, time(view.at)),
    command("iexec-worker earnings"),
  ];
}

const labelled = (label: string, ...value: readonly Child[]): HTMLElement =>
  el("span", {}, el("span", { class: "faint" }, `${label} `), ...value);

const taskItem = ({ taskId, status, since, stake, open, deadline }: TaskView): HTMLElement =>
  el(
    "li",
    {},
    el("a", { href: `#task/${taskId}`, "data-key": `task ${taskId}`, title: taskId }, short(taskId)),
    el("span", { class: "status" }, open ? mark(deadline?.what === "reveal" ? "warn" : "ok", status) : status),
    open ? labelled("for", age(since)) : time(since),
    deadline === null
      ? el("span", { class: "faint" }, "over")
      : labelled(deadline.what === "reveal" ? "reveal due" : "final", time(deadline.at)),
    labelled("stake", stake),
  );

export function tasksPanel(tasks: readonly TaskView[]): readonly Child[] {
  if (tasks.length === 0) return [el("p", {}, "No task so far. Tasks come from the pool by themselves; below stands why none came yet.")];
  return [el("ul", { class: "tasks" }, ...tasks.map(taskItem))];
}

export function needsPanel(needs: readonly NeedView[]): readonly Child[] {
  if (needs.length === 0) return [el("p", {}, mark("ok", "Nothing"), " needs you now.")];
  return [
    el(
      "ul",
      {},
      ...needs.map(({ level, text, command: fix }) => el("li", {}, mark(level), ` ${text}`, fix === null ? undefined : command(fix))),
    ),
  ];
}

export function idlePanel(view: IdleView | null): readonly Child[] {
  if (view === null) return loading("the scheduler and the chain");
  if (view.reasons.length === 0) return [el("p", {}, mark("ok", "Not idle"), ` ${view.verdict}`)];
  return [
    el("p", {}, el("strong", {}, view.verdict)),
    el(
      "ol",
      {},
      ...view.reasons.map(({ blocks, text, evidence, since, command: fix }) =>
        el(
          "li",
          {},
          mark(blocks ? "bad" : "note", blocks ? "Blocks" : "Note"),
          ` ${text}`,
          ...(since === null ? [] : [", since ", time(since)]),
          el("p", { class: "faint" }, `Seen: ${evidence}`),
          fix === null ? undefined : command(fix),
        ),
      ),
    ),
    el("p", { class: "faint" }, "Looked at ", time(view.at)),
  ];
}

export function machinePanel(view: MachineView): readonly Child[] {
  return [
    list([
      ["Host", view.host],
      ["System", `${view.os}, Node.js ${view.node}`],
      ["CPUs", `${view.cpus}, memory ${view.memory}${view.gpu ? ", GPU offered" : ""}`],
      [
        "Disk",
        view.disk === null
          ? [mark("warn", "unknown")]
          : [
              mark(view.disk.low ? "bad" : "ok", view.disk.low ? "too little" : "enough"),
              ` ${view.disk.free} free in ${view.disk.path}, ${view.disk.needed} needed to ask for tasks`,
            ],
      ],
      ["Engine", view.engine],
      ["SGX, TDX", view.tee],
    ]),
    view.ignoredLimits.length === 0
      ? undefined
      : el("p", {}, mark("bad", "Limits ignored"), ` by this engine: ${view.ignoredLimits.join("; ")}`),
  ];
}

/** The sentence on top; its instants are kept up to date by the clock of the page. */
export const truth = ({ truth: { mark: level, phrase } }: Overview): readonly Child[] => [
  mark(level),
  ...phrase.map((piece) => (typeof piece === "string" ? piece : time(piece.at))),
];
