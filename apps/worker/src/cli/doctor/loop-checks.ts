import { standingNeeds } from "../facts/needs.ts";
import { type Check, failed, pass, skip, warn } from "./check.ts";

/** What the running worker says of its own loops. */
export const LOOP_CHECKS: readonly Check[] = [
  {
    id: "loops",
    title: "loops",
    async run({ clock }, { local: { running } }) {
      if (running.kind === "stopped") return skip("the worker does not run");
      const doing = running.doing ?? running.page?.doing;
      if (doing === undefined) return skip("the worker does not say what it does");
      const needs = standingNeeds(doing, clock.now());
      const [first] = needs;
      if (first === undefined) return pass("nothing stood still in the last hour, and every task gets on");
      const seen = needs.map(({ text }) => text).join("; ");
      return (first.level === "bad" ? failed : warn)(seen, first.command ?? "iexec-worker why-idle");
    },
  },
];
