import { pullTimeoutMs } from "@iexec-ts/poco";
import { appImage } from "../app-image.ts";
import { describeTask } from "../describe-task.ts";
import { faultFrom, ownLineWorks, spoilsDownload } from "../faults.ts";
import type { Ports } from "../ports.ts";
import type { Replicate } from "../replicate.ts";
import { enter, type StageWork } from "./stage.ts";

/** Milliseconds since the download was first begun. */
function spentMs({ taskId }: Replicate, { journal, clock }: Ports): number {
  const begun = journal.history(taskId).find(({ status }) => status === "APP_DOWNLOADING");
  return begun === undefined ? 0 : clock.now().getTime() - begun.at.getTime();
}

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
  const task = await describeTask(replicate, ports.hub);
  const timeoutMs = pullTimeoutMs(task.category.period, ports.policy.pullTimeout);
  try {
    const image = appImage(task.app, taskId);
    const pulled = await ports.sandbox.pull(image, { timeoutMs }, signal);
    ports.checkpoint("W03");
    if (pulled.stale) ports.log.warn("image could not be pulled again; using the copy on this host", { taskId, image });
    ports.journal.record(taskId, "APP_DOWNLOADED");
  } catch (thrown) {
    const error = faultFrom(thrown);
    // A registry that is away may come back, but all attempts together get the time of one pull.
    if (signal.aborted || !spoilsDownload(error, spentMs(replicate, ports) >= timeoutMs)) throw error;
    await ownLineWorks(error, replicate, ports);
    ports.journal.record(taskId, "APP_DOWNLOAD_FAILED", {
      cause: "APP_IMAGE_DOWNLOAD_FAILED",
      details: { errorMessage: `${error.code}: ${error.message}` },
      facts: { failure: "APP_IMAGE_DOWNLOAD_FAILED" },
    });
  }
};
