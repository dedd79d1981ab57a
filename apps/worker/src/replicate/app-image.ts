import type { AppRecord } from "@iexec-ts/chain";
import type { TaskId } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";

/** The image an app's registration names. Errors: WRK-1308. @source compute.md 1.8 */
export function appImage(app: AppRecord, taskId: TaskId): string {
  if (app.type.toUpperCase() !== "DOCKER") throw new CodedError("WRK-1308", { taskId, app: app.address, reason: `type ${app.type}` });
  const image = app.multiaddr.trim();
  if (image === "" || !/^[\w][\w.\-/:@]*$/.test(image)) throw new CodedError("WRK-1308", { taskId, app: app.address, reason: "no image" });
  return image;
}
