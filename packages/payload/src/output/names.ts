import { CodedError } from "@iexec-ts/service";

/** Longest file name of a result, in UTF-16 units. @source reference/compute.md 2.2: POST_COMPUTE_TOO_LONG_RESULT_FILE_NAME */
export const MAX_RESULT_FILE_NAME = 31;

/** Why one name of a path cannot go into an archive that any system may open; undefined when it can. */
export function nameFault(name: string): string | undefined {
  if (name === "" || name === "." || name === "..") return "it is not a name";
  if (!name.isWellFormed() || name.includes("\ufffd")) return "it is not valid UTF-8";
  if (/\p{Cc}/u.test(name)) return "it has control characters";
  if (/[/\\]/.test(name)) return "it has a slash or backslash";
  if (/^[A-Za-z]:/.test(name)) return "it begins with a drive letter";
  return undefined;
}

/** A name for logs: control characters escaped, cut. */
export const printableName = (name: string): string => JSON.stringify(name.slice(0, 80));

/** Errors: PAY-1204; for files also PAY-1201. */
export function checkName(name: string, kind: "file" | "folder"): void {
  const reason = nameFault(name);
  if (reason !== undefined) throw new CodedError("PAY-1204", { name: printableName(name), reason });
  if (kind === "file" && name.length > MAX_RESULT_FILE_NAME) {
    throw new CodedError("PAY-1201", { name: printableName(name), limit: MAX_RESULT_FILE_NAME });
  }
}
