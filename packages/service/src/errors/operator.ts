import type { ErrorDescriptor } from "./descriptor.ts";

export const OPERATOR_ERRORS = {
  "WRK-2015": {
    message: "{path} is the wallet file itself, not a copy of it",
    cause: "A backup that is the same file is lost together with the wallet.",
    fix: "Copy the file to another disk and give the path of the copy.",
    retry: "operator",
  },
} as const satisfies Record<string, ErrorDescriptor>;
