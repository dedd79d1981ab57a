import { LABELS } from "@iexec-ts/sandbox";
import { removeTaskFolder, taskPaths } from "../paths.ts";
import type { StageWork } from "./stage.ts";

/**
 * Removes what a finished replicate left on this host. The journal keeps its history and what it contributed.
 *
 * SIDE EFFECTS: removes containers and files of this task only.
 */
export const purge: StageWork = async (replicate, ports) => {
  await ports.sandbox.reap({ [LABELS.worker]: ports.worker, [LABELS.task]: replicate.taskId }, new Set());
  ports.checkpoint("W22");
  await removeTaskFolder(taskPaths(ports.tasksDir, replicate.taskId));
  ports.journal.close(replicate.taskId);
};
