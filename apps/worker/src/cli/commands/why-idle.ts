import type { Context } from "../context.ts";
import { fromOutside } from "../facts/fact-sources.ts";
import { gatherIdleFacts } from "../facts/idle-facts.ts";
import { type IdleReason, idleReasons, idleVerdict } from "../facts/idle-reasons.ts";
import { EXIT, type Json, type Report } from "../report.ts";
import { exact, relative } from "../view/time.ts";

/** Why no task is running, most likely reason first, each with what was seen. */
export async function whyIdle(context: Context): Promise<Report> {
  const facts = await gatherIdleFacts(fromOutside(context));
  const reasons = idleReasons(facts);
  const now = context.clock.now();
  const since = (reason: IdleReason): string =>
    reason.since === undefined ? "" : `, since ${relative(reason.since, now).replace(" ago", "")}`;
  return {
    data: {
      idle: facts.openTasks === 0,
      openTasks: facts.openTasks,
      reasons: reasons.map(
        (reason): Json => ({
          id: reason.id,
          blocks: reason.blocks,
          text: reason.text,
          evidence: reason.evidence,
          since: reason.since === undefined ? null : exact(reason.since),
          command: reason.command ?? null,
        }),
      ),
    },
    text: (style) => {
      const verdict = idleVerdict(reasons, facts.openTasks);
      if (reasons.length === 0) return `${style.mark("ok")} ${style.strong(verdict)}`;
      return [
        style.strong(verdict),
        "",
        ...reasons.flatMap((reason, index) => [
          `${index + 1}. ${style.mark(reason.blocks ? "bad" : "note")} ${reason.text}${since(reason)}`,
          `      ${style.faint("seen:")} ${reason.evidence}`,
          ...(reason.command === undefined ? [] : [`      -> ${reason.command}`]),
        ]),
      ].join("\n");
    },
    exit: reasons.some(({ blocks }) => blocks) ? EXIT.operator : EXIT.ok,
    next: ["iexec-worker doctor"],
  };
}
