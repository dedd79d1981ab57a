import type { ErrorDescriptor } from "./descriptor.ts";

export const PAYLOAD_ERRORS = {} as const satisfies Record<string, ErrorDescriptor>;
