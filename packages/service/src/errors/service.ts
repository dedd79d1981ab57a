import type { ErrorDescriptor } from "./descriptor.ts";

export const SERVICE_ERRORS = {
  "SVC-1000": {
    message: "Unexpected error: {reason}",
    cause: "Something failed that this program did not foresee.",
    fix: "Look at the stack in the log at debug level; if it repeats, report it with the support bundle.",
    retry: "bug",
  },
} as const satisfies Record<string, ErrorDescriptor>;
