import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TaskId } from "@iexec-ts/poco";
import { sweepDrafts } from "@iexec-ts/service";
import { z } from "zod";

/** Where the files of one task are. @source compute.md 1.2 (v9 layout) */
export interface TaskPaths {
  readonly root: string;
  /** Mounted read-only at /iexec_in. */
  readonly input: string;
  readonly output: string;
  /** Mounted at /iexec_out; whatever it holds is the app's and not to be trusted. */
  readonly iexecOut: string;
  readonly zip: string;
}

export function taskPaths(tasksDir: string, taskId: TaskId): TaskPaths {
  const root = join(tasksDir, taskId);
  const output = join(root, "output");
  return { root, input: join(root, "input"), output, iexecOut: join(output, "iexec_out"), zip: join(output, "iexec_out.zip") };
}

/**
 * SIDE EFFECTS: creates the task's folders. The root is closed to other users of the host; iexec_out is open to any uid, because a
 * container without capabilities writes there with whatever uid its image names. Drafts that a crashed run left are removed: an app would
 * see them among its inputs.
 */
export async function createTaskFolders(paths: TaskPaths): Promise<{ readonly outputIsNew: boolean }> {
  await mkdir(paths.root, { recursive: true, mode: 0o700 });
  await chmod(paths.root, 0o700);
  await mkdir(paths.input, { recursive: true, mode: 0o755 });
  const outputIsNew = (await mkdir(paths.iexecOut, { recursive: true, mode: 0o777 })) !== undefined;
  await chmod(paths.iexecOut, 0o777);
  for (const folder of [paths.input, paths.output]) await sweepDrafts(folder);
  return { outputIsNew };
}

/**
 * By a process of its own: an app may leave a million files, which would keep every thread of this one busy for seconds, or folders nested
 * beyond the longest path that can be named.
 *
 * SIDE EFFECTS: deletes the task's folder, if it is there.
 */
export async function removeTaskFolder(paths: TaskPaths): Promise<void> {
  if (!existsSync(paths.root)) return;
  try {
    await promisify(execFile)("rm", ["-rf", "--", paths.root]);
  } catch (thrown) {
    // A host without that command.
    if (!z.object({ code: z.literal("ENOENT") }).safeParse(thrown).success) throw thrown;
    await rm(paths.root, { recursive: true, force: true, maxRetries: 2 });
  }
}
