import type { TaskId, WorkerpoolAuthorization } from "@iexec-ts/poco";

/** Where results go, so that the requester can fetch them. */
export interface ResultStore {
  /**
   * Uploads the zip, or finds that this task's result is already stored.
   *
   * SIDE EFFECTS: sends the file. Calling it again for a stored result sends nothing and returns the same location.
   * Errors: WRK-1312 (nothing to upload any more), WRK-1501, WRK-1502; their retry class says whether to try again.
   * @returns the CID to put into the result link
   */
  upload(
    task: {
      readonly authorization: WorkerpoolAuthorization;
      readonly zipPath: string;
      readonly digest: string;
      readonly proxyUrl: string | undefined;
      /** Called each time that more of the zip was taken. */
      readonly onAlive?: () => void;
    },
    signal: AbortSignal,
  ): Promise<string>;
  /** The CID of an already stored result, or undefined. */
  find(taskId: TaskId, proxyUrl: string | undefined, signal: AbortSignal): Promise<string | undefined>;
}
