import type { CodedError } from "@iexec-ts/service";

/** Whether the same step may succeed later: the peer or the host is at fault, not the task. */
export const canRetry = (error: CodedError): boolean => error.retry === "retry" || error.retry === "environment";
