import { CodedError } from "@iexec-ts/service";

/*
 * The engine has no error codes for starts: what a runtime says arrives as text. What is not clearly the image's doing is this host's, so that no
 * app is blamed for a machine that is out of memory. This table is the only place that reads such text.
 */
const OF_THE_IMAGE =
  /exec: |exec format error|failed to load |error finding executable|unable to find (?:user|group)|no matching entries in|\bcwd\b|not a directory/i;
const OF_THE_HOST =
  /cannot allocate memory|no space left|quota exceeded|temporarily unavailable|too many open files|input\/output error|resource busy|read-only file system/i;

/** Names a start that failed: SBX-1203 where the image's entry point, user or folder is to blame, else SBX-1207. */
export const startError = (name: string, reason: string): CodedError =>
  new CodedError(OF_THE_IMAGE.test(reason) && !OF_THE_HOST.test(reason) ? "SBX-1203" : "SBX-1207", { name, reason });
