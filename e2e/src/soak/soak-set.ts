import { join } from "node:path";
import { z } from "zod";
import { ROOT, withCommand } from "../demo/command.ts";
import type { ScenarioSet } from "../scenario.ts";

const MINUTES = 3;
/** Three minutes of buying, and on a machine with much else to do as long again for the start, the last tasks and the end. */
const LIMIT_MS = 1_200_000;

const report = z.object({
  tasks: z.number(),
  completed: z.number(),
  failed_as_expected: z.number(),
  stuck: z.number(),
  stuck_tasks: z.array(z.unknown()),
  leftovers: z.number(),
  leftover_list: z.array(z.string()),
  reasons: z.array(z.string()),
  seed: z.number(),
});

/** `./run soak` as it is run by hand, for three minutes. */
export const soakSet: ScenarioSet<undefined> = {
  name: "soak",
  summary: "three minutes of ./run soak: nothing stuck, nothing left",
  open: async () => ({ context: undefined, close: async () => undefined }),
  scenarios: [
    {
      id: "three-minutes",
      short: true,
      timeoutMs: LIMIT_MS + 30_000,
      run: () =>
        withCommand(
          () => [process.execPath, join(ROOT, "e2e/src/soak/main.ts"), "--minutes", String(MINUTES), "--json"],
          {},
          async (command) => {
            const { code, stdout, stderr } = await command.end(LIMIT_MS);
            const last = stdout.trimEnd().split("\n").at(-1) ?? "";
            if (last === "") throw new Error(`ended with ${code} and no report: ${stderr.slice(-400)}`);
            const seen = report.parse(JSON.parse(last));
            if (seen.stuck > 0)
              throw new Error(`seed ${seen.seed}: ${seen.stuck} stuck: ${JSON.stringify(seen.stuck_tasks).slice(0, 400)}`);
            if (seen.leftovers > 0) throw new Error(`seed ${seen.seed}: left: ${seen.leftover_list.join("; ")}`);
            if (code !== 0) throw new Error(`seed ${seen.seed}: ended with ${code}: ${seen.reasons.join("; ")}`);
            return `${seen.tasks} tasks, ${seen.completed} completed, ${seen.failed_as_expected} failed as expected, none stuck, nothing left`;
          },
        ),
    },
  ],
};
