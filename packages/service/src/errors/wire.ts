import type { ErrorDescriptor } from "./descriptor.ts";

export const WIRE_ERRORS = {} as const satisfies Record<string, ErrorDescriptor>;
