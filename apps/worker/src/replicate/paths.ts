import { chmod, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { TaskId } from "@iexec-ts/poco";

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
 * container without capabilities writes there with whatever uid its image names.
 */
export async function createTaskFolders(paths: TaskPaths): Promise<void> {
  await mkdir(paths.root, { recursive: true, mode: 0o700 });
  await chmod(paths.root, 0o700);
  await mkdir(paths.input, { recursive: true, mode: 0o755 });
  await mkdir(paths.iexecOut, { recursive: true, mode: 0o777 });
  await chmod(paths.iexecOut, 0o777);
}

/** SIDE EFFECTS: deletes the task's folder, if it is there. */
export async function removeTaskFolder(paths: TaskPaths): Promise<void> {
  await rm(paths.root, { recursive: true, force: true, maxRetries: 2 });
}
