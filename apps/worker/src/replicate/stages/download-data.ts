import { join } from "node:path";
import { datasetUriOf, downloadDataset, downloadInputFiles } from "@iexec-ts/payload";
import { datasetFileName } from "@iexec-ts/poco";
import { hasCode } from "@iexec-ts/service";
import { describeTask, hasDataset } from "../describe-task.ts";
import { faultFrom, ownLineWorks, spoilsDownload } from "../faults.ts";
import { createTaskFolders, taskPaths } from "../paths.ts";
import type { Ports } from "../ports.ts";
import type { Replicate } from "../replicate.ts";
import { enter, type StageWork } from "./stage.ts";

type DataCause = "DATASET_FILE_DOWNLOAD_FAILED" | "DATASET_FILE_BAD_CHECKSUM" | "INPUT_FILES_DOWNLOAD_FAILED";

/**
 * Brings the dataset and the input files into the task's input folder.
 *
 * SIDE EFFECTS: writes files; records DATA_DOWNLOADING, then DATA_DOWNLOADED or DATA_DOWNLOAD_FAILED.
 * @source compute.md 3.2
 */
export const downloadData: StageWork = async (replicate, ports, signal) => {
  enter(replicate, "DATA_DOWNLOADING", ports);
  const task = await describeTask(replicate, ports.hub);
  const paths = taskPaths(ports.tasksDir, replicate.taskId);
  await createTaskFolders(paths);

  if (task.dataset !== undefined && hasDataset(task.dataset)) {
    const { dataset } = task;
    const target = join(paths.input, datasetFileName(dataset.address));
    try {
      await downloadDataset({ uri: datasetUriOf(dataset.multiaddr), checksum: dataset.checksum, target }, ports.policy.fetch, signal);
    } catch (thrown) {
      const cause = hasCode(thrown, "PAY-1109") ? "DATASET_FILE_BAD_CHECKSUM" : "DATASET_FILE_DOWNLOAD_FAILED";
      return fail(replicate, ports, cause, thrown, signal);
    }
  }
  if (task.params.inputFiles.length > 0) {
    try {
      await downloadInputFiles(task.params.inputFiles, paths.input, ports.policy.fetch, signal);
    } catch (thrown) {
      return fail(replicate, ports, "INPUT_FILES_DOWNLOAD_FAILED", thrown, signal);
    }
  }
  ports.checkpoint("W03");
  ports.journal.record(replicate.taskId, "DATA_DOWNLOADED");
};

async function fail(replicate: Replicate, ports: Ports, cause: DataCause, thrown: unknown, signal: AbortSignal): Promise<void> {
  const error = faultFrom(thrown);
  if (signal.aborted || !spoilsDownload(error, true)) throw error;
  await ownLineWorks(error, replicate, ports);
  ports.journal.record(replicate.taskId, "DATA_DOWNLOAD_FAILED", {
    cause,
    details: { errorMessage: `${error.code}: ${error.message}` },
    facts: { failure: cause },
  });
}
