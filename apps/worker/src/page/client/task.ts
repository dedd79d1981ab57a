import { exact } from "../../cli/view/time.ts";
import type { TaskDetail } from "../model.ts";
import { type Child, command, copy, el, list, short, time } from "./dom.ts";
import { trouble } from "./panels.ts";

/** The task that the address names, or undefined: `#task/0x…`. */
export const taskInAddress = (): string | undefined => /^#task\/(0x[0-9a-f]{64})$/.exec(location.hash)?.[1];

/** One task with all that happened to it. */
export async function taskView(taskId: string): Promise<readonly Child[]> {
  const back = el("p", {}, el("a", { href: "#", "data-key": "back" }, "← Back to the worker"));
  try {
    const answer = await fetch(`/v1/tasks/${taskId}`);
    const body = await answer.json();
    return answer.ok
      ? [back, ...detail(body)]
      : [back, el("h2", {}, "Task"), ...trouble({ code: body.code, text: body.message, fix: body.fix })];
  } catch {
    return [
      back,
      el("h2", {}, "Task"),
      ...trouble({ code: "no answer", text: "The worker does not answer.", fix: "Is it running? iexec-worker status" }),
    ];
  }
}

function detail(task: TaskDetail): readonly Child[] {
  return [
    el("h2", {}, "Task ", el("code", {}, task.taskId), " ", copy(task.taskId, "the task's id")),
    list([
      ["Status", [el("strong", {}, task.status), " ", time(task.since)], "big"],
      ["Meaning", task.meaning],
      ["To do", task.advice],
      ["Stake", task.stakeText],
      ["Final", [time(task.finalDeadline), ` (${exact(new Date(task.finalDeadline))})`]],
      ["Deal", [short(task.dealId), ` task ${task.taskIndex}`]],
      ...(task.failure === null ? [] : [["Output", `a fabricated error: ${task.failure}`] as const]),
      ...(task.digest === null ? [] : [["Digest", [short(task.digest)]] as const]),
      ...(task.resultLink === null ? [] : [["Result", task.resultLink] as const]),
    ]),
    el("h3", {}, "Timeline"),
    el(
      "ol",
      { class: "timeline" },
      ...task.history.map(({ status, cause, at }) =>
        el(
          "li",
          {},
          el("span", { class: "faint" }, exact(new Date(at))),
          el("span", {}, el("strong", {}, status), cause === null ? undefined : ` ${cause}`),
        ),
      ),
    ),
    el("h3", {}, "Transactions"),
    task.transactions.length === 0
      ? el("p", {}, "None yet.")
      : el(
          "ul",
          {},
          ...task.transactions.map(({ id, state, hash, attempts, note }) =>
            el(
              "li",
              {},
              el("strong", {}, id.split(":")[0] ?? id),
              ` ${state}, ${attempts} ${attempts === 1 ? "try" : "tries"} `,
              hash === null ? undefined : short(hash),
              note === null ? undefined : el("p", { class: "faint" }, note),
            ),
          ),
        ),
    command(`iexec-worker task logs ${task.taskId.slice(0, 12)}`),
  ];
}
