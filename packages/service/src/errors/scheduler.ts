import type { ErrorDescriptor } from "./descriptor.ts";

export const SCHEDULER_ERRORS = {} as const satisfies Record<string, ErrorDescriptor>;
