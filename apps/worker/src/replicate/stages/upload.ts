import { formatResultLink } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { zeroAddress } from "viem";
import { describeTask } from "../describe-task.ts";
import { faultFrom, faultOf } from "../faults.ts";
import { enter, type StageWork } from "./stage.ts";

/**
 * Uploads the result, or adopts the link of an upload that already happened.
 *
 * SIDE EFFECTS: sends the zip; records RESULT_UPLOADING, then RESULT_UPLOADED or RESULT_UPLOAD_FAILED.
 * @source compute.md 5.4; services.md 3.1
 */
export const upload: StageWork = async (replicate, ports, signal) => {
  const { taskId, sealed } = replicate;
  const { journal } = ports;
  enter(replicate, "RESULT_UPLOADING", ports);
  const { deal, params } = await describeTask(replicate, ports.hub);

  if (deal.callback !== zeroAddress) {
    const callbackData = sealed?.callbackData ?? journal.contribution(taskId)?.callbackData;
    const resultLink = formatResultLink({ callback: deal.callback });
    if (callbackData === undefined)
      journal.record(taskId, "RESULT_UPLOAD_FAILED", { cause: "RESULT_LINK_MISSING", facts: { uploadRequested: false } });
    else journal.record(taskId, "RESULT_UPLOADED", { details: { resultLink, chainCallbackData: callbackData }, facts: { resultLink } });
    return;
  }
  ports.checkpoint("W17");
  try {
    const cid =
      sealed === undefined
        ? await ports.results.find(taskId, params.storageProxy, signal)
        : await ports.results.upload(
            { authorization: replicate.authorization, zipPath: sealed.zipPath, digest: sealed.digest, proxyUrl: params.storageProxy },
            signal,
          );
    if (cid === undefined) throw new CodedError("WRK-1312", { taskId });
    ports.checkpoint("W18");
    const resultLink = formatResultLink({ cid });
    journal.record(taskId, "RESULT_UPLOADED", { details: { resultLink }, facts: { resultLink } });
    ports.checkpoint("W19");
  } catch (thrown) {
    const error = faultFrom(thrown);
    // A zip that is gone does not come back: say so, and let another worker's upload end the task.
    if (signal.aborted || faultOf(error).follows !== "report") throw error;
    journal.record(taskId, "RESULT_UPLOAD_FAILED", {
      cause: "RESULT_LINK_MISSING",
      details: { errorMessage: `${error.code}: ${error.message}` },
      facts: { uploadRequested: false },
    });
  }
};
