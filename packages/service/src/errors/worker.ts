import type { ErrorDescriptor } from "./descriptor.ts";

export const WORKER_ERRORS = {} as const satisfies Record<string, ErrorDescriptor>;
