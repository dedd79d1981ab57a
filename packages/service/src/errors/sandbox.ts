import type { ErrorDescriptor } from "./descriptor.ts";

export const SANDBOX_ERRORS = {} as const satisfies Record<string, ErrorDescriptor>;
