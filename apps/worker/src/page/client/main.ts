import { relative } from "../../cli/view/time.ts";
import type { Overview } from "../model.ts";
import { type Child, fill, mark, now, part, setNow, tick } from "./dom.ts";
import { type Connection, follow } from "./feed.ts";
import { idlePanel, machinePanel, needsPanel, statusPanel, tasksPanel, todayPanel, truth, walletPanel } from "./panels.ts";
import { taskInAddress, taskView } from "./task.ts";

let newest: Overview | undefined;
let heardAt = now();
let connection: Connection = "loading";
const shown = new Map<string, string>();

/** Draws a panel again only when its facts changed. */
function panel(id: string, facts: unknown, draw: () => readonly Child[]): void {
  const text = JSON.stringify(facts);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  const body = part(id).querySelector(".body");
  if (body !== null) fill(body, ...draw());
}

function draw(overview: Overview): void {
  const { status, wallet, tasks, needs, idle, today, machine } = overview;
  document.title = `${overview.truth.mark === "bad" ? "✕ " : ""}${status.name}, iExec worker`;
  part("name").textContent = status.name;
  fill(part("state"), mark(status.state === "RUNNING" ? "ok" : "warn", status.state));
  part("truth").dataset.mark = overview.truth.mark;
  fill(part("truth"), ...truth(overview));
  const said = overview.truth.phrase.filter((piece) => typeof piece === "string").join("");
  if (part("announce").textContent !== said) part("announce").textContent = said;
  panel("needs", needs, () => needsPanel(needs));
  panel("status", { ...status, block: "" }, () => statusPanel(status));
  panel("wallet", [wallet, status.wallet], () => walletPanel(wallet, status.wallet));
  panel("today", today, () => todayPanel(today));
  panel("tasks", tasks, () => tasksPanel(tasks));
  panel("idle", idle, () => idlePanel(idle));
  panel("machine", machine, () => machinePanel(machine));
}

/** The task that is open, drawn anew; a later change of the address wins. */
async function showTask(): Promise<void> {
  const taskId = taskInAddress();
  part("overview").hidden = taskId !== undefined;
  part("task").hidden = taskId === undefined;
  if (taskId === undefined) return;
  const view = await taskView(taskId);
  if (taskInAddress() === taskId) fill(part("task"), ...view);
}

function showConnection(): void {
  const state = part("connection");
  state.dataset.state = connection;
  const age = newest === undefined ? "" : `; these facts are from ${relative(heardAt, now())}`;
  const text = {
    loading: "… connecting",
    live: "● live",
    lost: `✕ connection lost${age}; trying again`,
  }[connection];
  if (state.textContent !== text) state.textContent = text;
  for (const section of document.querySelectorAll("section")) section.dataset.stale = String(connection === "lost");
}

follow({
  overview(overview) {
    newest = overview;
    setNow(overview.at);
    heardAt = now();
    draw(overview);
    void showTask();
  },
  beat(at) {
    setNow(at);
    heardAt = now();
  },
  connection(state) {
    connection = state;
    showConnection();
  },
});
addEventListener("hashchange", () => {
  void showTask();
  if (taskInAddress() !== undefined) part("main").focus();
});
setInterval(() => {
  tick();
  showConnection();
}, 1_000);
showConnection();
void showTask();
