import type { DockerSandbox, ImageUses } from "@iexec-ts/sandbox";
import { sizeOf } from "./tree-size.ts";

const MIB = 1_024 * 1_024;

/**
 * What the files of tasks and the images this worker pulled take, after images were removed to fit the budget, least recently used first.
 *
 * @returns MiB; layers that images share count each time
 * SIDE EFFECTS: removes images that no container uses.
 */
export async function keptMib(
  budgetMib: number,
  { tasksDir, sandbox, uses }: { readonly tasksDir: string; readonly sandbox: DockerSandbox; readonly uses: ImageUses },
): Promise<number> {
  const files = await sizeOf(tasksDir);
  const images = async (): Promise<number> => {
    const found = await Promise.all([...(await uses.all()).keys()].map((id) => sandbox.findImage(id)));
    return found.reduce((sum, image) => sum + (image?.bytes ?? 0), 0);
  };
  let kept = files + (await images());
  if (kept > budgetMib * MIB) {
    await sandbox.pruneImages({ budgetBytes: Math.max(0, budgetMib * MIB - files), keep: new Set() });
    kept = files + (await images());
  }
  return kept / MIB;
}
