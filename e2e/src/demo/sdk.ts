import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Scenario } from "../scenario.ts";
import { type CommandOptions, type Ended, withCommand } from "./command.ts";
import { withNetworkCommand } from "./network-command.ts";

/** The version of the public command line that this network is tried with; never a dependency. */
const SDK = "iexec@9.0.1";
const ANSWER_MS = 300_000;

const succeed = async (line: readonly [string, ...string[]], options: CommandOptions): Promise<Ended> => {
  const ended = await withCommand(
    () => line,
    options,
    (command) => command.end(ANSWER_MS),
  );
  if (ended.code !== 0) throw new Error(`${line.join(" ")} ended with ${ended.code}: ${(ended.stderr + ended.stdout).slice(-400)}`);
  return ended;
};

/** What a requester sees with the tools that exist today. */
export const sdkScenario: Scenario<undefined> = {
  id: "iexec-sdk",
  timeoutMs: 900_000,
  run: (_, signal) =>
    withNetworkCommand("demo", ["--keep", "--width", "64"], async (command) => {
      const cwd = command.out;
      await succeed(["npm", "install", "--no-audit", "--no-fund", "--prefix", cwd, SDK], { cwd });
      const [, taskId = ""] = await command.says(/^task (0x[0-9a-f]{64}): COMPLETED/m, signal);
      const [, dealId = ""] = await command.says(/: deal (0x[0-9a-f]{64})/, signal);
      await command.says(/stays up/, signal);
      const iexec = join(cwd, "node_modules/.bin/iexec");
      const shown = await succeed([iexec, "task", "show", taskId, "--download", "result", "--raw"], { cwd });
      const { task } = z.object({ task: z.looseObject({ statusName: z.string() }) }).parse(JSON.parse(shown.stdout));
      if (task.statusName !== "COMPLETED") throw new Error(`the SDK shows the task as ${task.statusName}`);
      const deal = await succeed([iexec, "deal", "show", dealId, "--raw"], { cwd });
      if (!deal.stdout.toLowerCase().includes(taskId)) throw new Error("the SDK's deal does not name the task");
      const files = (await readdir(cwd)).filter((name) => name.startsWith("result"));
      if (files.length === 0) throw new Error("the SDK downloaded nothing");
      command.interrupt();
      await command.end();
      return `${SDK} shows the deal and the completed task, and downloaded ${files.join()}`;
    }),
};
