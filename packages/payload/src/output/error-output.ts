import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import {
  COMPUTED_JSON,
  type ContributedFailure,
  ERROR_RESULT_PATH,
  type ErrorTextVersion,
  errorResultText,
  formatComputedFile,
} from "@iexec-ts/poco";
import { CodedError, writeDurably } from "@iexec-ts/service";
import { reasonOf } from "../reason.ts";

/**
 * Writes the output of a task whose image or data could not be downloaded: `error.txt` and a `computed.json` that names it. Then it is
 * sealed like any other. Whatever was in the folder before is removed: the app has not run.
 *
 * Errors: PAY-1215.
 * SIDE EFFECTS: replaces `dir`.
 * @param version - the pool's dialect; all workers of a pool must write the same text
 * @source reference/compute.md 2.6, vector V4
 */
export async function fabricateErrorOutput(dir: string, cause: ContributedFailure, version: ErrorTextVersion = "9.2"): Promise<void> {
  try {
    await rm(dir, { recursive: true, force: true });
    await mkdir(dir, { recursive: true });
    await writeDurably(join(dir, "error.txt"), (file) => file.writeFile(errorResultText(cause, version)));
    await writeDurably(join(dir, COMPUTED_JSON), (file) =>
      file.writeFile(formatComputedFile({ deterministicOutputPath: ERROR_RESULT_PATH })),
    );
  } catch (thrown) {
    throw new CodedError("PAY-1215", { file: dir, reason: reasonOf(thrown) }, { cause: thrown });
  }
}
