import { fabricateErrorOutput, sealOutput } from "@iexec-ts/payload";
import { describeTask } from "../describe-task.ts";
import { createTaskFolders, taskPaths } from "../paths.ts";
import type { StageWork } from "./stage.ts";

/**
 * Makes the result that every worker of a pool contributes when the app or the data could not be downloaded, so that the requester gets an
 * explanation instead of silence.
 *
 * SIDE EFFECTS: writes error.txt and its zip; the text is ours, so whatever goes wrong here is no fault of the task.
 * @source compute.md 2.6
 */
export const sealError: StageWork = async (replicate, ports, signal) => {
  const { taskId, progress, failure } = replicate;
  const paths = taskPaths(ports.tasksDir, taskId);
  const { deal } = await describeTask(replicate, ports.hub);
  await createTaskFolders(paths);
  const cause = failure ?? (progress === "APP_DOWNLOAD_FAILED" ? "APP_IMAGE_DOWNLOAD_FAILED" : "DATASET_FILE_DOWNLOAD_FAILED");
  await fabricateErrorOutput(paths.iexecOut, cause, ports.policy.errorText);
  const sealed = await sealOutput(
    {
      outDir: paths.iexecOut,
      zipPath: paths.zip,
      callback: deal.callback,
      limits: ports.policy.output,
      extras: { stdout: undefined, stderr: undefined },
    },
    signal,
  );
  ports.journal.note(taskId, {
    sealed: { digest: sealed.digest, callbackData: sealed.callbackData, zipPath: sealed.zip.path, zipSha256: sealed.zip.sha256 },
  });
};
