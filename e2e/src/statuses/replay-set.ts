import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import type { ScenarioSet } from "../scenario.ts";
import { faultsOf, readHistories } from "./histories.ts";
import { HISTORIES } from "./world.ts";

/** What earlier versions recorded. */
const KEPT = join(import.meta.dirname, "../../../fixtures/histories");

async function filesIn(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder, { recursive: true }).catch((thrown: unknown) => {
    if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") return [];
    throw thrown;
  });
  return names.filter((name) => name.endsWith(".jsonl")).map((name) => join(folder, name));
}

/** Every recorded history gives, when it is played again, the state that was recorded with it. */
export const replaySet: ScenarioSet<readonly string[]> = {
  name: "replay",
  summary: "histories of earlier versions and of the last e2e runs, played again",
  async open() {
    const files = [...(await filesIn(KEPT)), ...(await filesIn(HISTORIES))];
    return { context: files, close: async () => undefined };
  },
  scenarios: [
    {
      id: "replay",
      short: true,
      async run(files) {
        const histories = await Promise.all(files.map(async (file) => ({ file: basename(file), histories: await readHistories(file) })));
        const faults = histories.flatMap(({ file, histories: recorded }) => faultsOf(recorded).map((fault) => `${file}: ${fault}`));
        if (faults.length > 0) throw new Error(faults.join("; "));
        const count = histories.reduce((sum, { histories: recorded }) => sum + recorded.length, 0);
        if (count === 0) throw new Error("there is no history to play");
        return `${count} histories of ${files.length} files give the recorded states`;
      },
    },
  ],
};
