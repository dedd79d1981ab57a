/** Downloads whose failure a worker contributes as a result. @source compute.md 2.6 */
export const CONTRIBUTED_FAILURES = [
  "APP_IMAGE_DOWNLOAD_FAILED",
  "DATASET_FILE_DOWNLOAD_FAILED",
  "DATASET_FILE_BAD_CHECKSUM",
  "INPUT_FILES_DOWNLOAD_FAILED",
] as const;
export type ContributedFailure = (typeof CONTRIBUTED_FAILURES)[number];

/** All workers of a pool must write the same text: its hash is what they contribute. */
export type ErrorTextVersion = "9.0" | "9.1" | "9.2";

/** Where the text is written, inside the container's view. */
export const ERROR_RESULT_PATH = "/iexec_out/error.txt";

/**
 * Content of `error.txt`, the result of a task whose image or data could not be downloaded. No final line end.
 *
 * @param version - of the Java workers in the pool; `9.0` stands for all before it
 * @source compute.md 2.6, V4
 */
export function errorResultText(cause: ContributedFailure, version: ErrorTextVersion = "9.2"): string {
  const status = cause === "APP_IMAGE_DOWNLOAD_FAILED" ? "APP_DOWNLOAD_FAILED" : "DATA_DOWNLOAD_FAILED";
  switch (version) {
    case "9.0":
      return `[IEXEC] Error occurred while computing the task [error:${status}, cause:${cause}]`;
    case "9.1":
      return `[IEXEC] Errors occurred while computing the task [error:${status}, causes:[${cause}]]`;
    case "9.2":
      return `[IEXEC] Errors occurred while computing the task [error:${status}, causes:[WorkflowError[cause=${cause}, message=]]]`;
  }
}
