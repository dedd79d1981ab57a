import { pullTimeoutMs } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { appImage } from "../app-image.ts";
import { describeTask } from "../describe-task.ts";
import { canRetry } from "../retry.ts";
import { enter, type StageWork } from "./stage.ts";

/**
 * Brings the app's image to this host.
 *
 * SIDE EFFECTS: pulls an image; records APP_DOWNLOADING, then APP_DOWNLOADED or APP_DOWNLOAD_FAILED.
 * @source compute.md 1.8
 */
export const downloadApp: StageWork = async (replicate, ports, signal) => {
  ports.checkpoint("W02");
  enter(replicate, "APP_DOWNLOADING", ports);
  const { taskId } = replicate;
  try {
    const task = await describeTask(replicate, ports.hub);
    const image = appImage(task.app, taskId);
    const timeoutMs = pullTimeoutMs(task.category.period, ports.policy.pullTimeout);
    const pulled = await ports.sandbox.pull(image, { timeoutMs }, signal);
    ports.checkpoint("W03");
    if (pulled.stale) ports.log.warn("image could not be pulled again; using the copy on this host", { taskId, image });
    ports.journal.record(taskId, "APP_DOWNLOADED");
  } catch (thrown) {
    const error = CodedError.from(thrown);
    if (signal.aborted || canRetry(error)) throw error;
    ports.log.warn("app download failed", { taskId, error });
    ports.journal.record(taskId, "APP_DOWNLOAD_FAILED", {
      cause: "APP_IMAGE_DOWNLOAD_FAILED",
      details: { errorMessage: `${error.code}: ${error.message}` },
      facts: { failure: "APP_IMAGE_DOWNLOAD_FAILED" },
    });
  }
};
