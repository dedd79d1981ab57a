import type { ErrorDescriptor } from "./descriptor.ts";

export const NETWORK_ERRORS = {} as const satisfies Record<string, ErrorDescriptor>;
