import type { ErrorDescriptor } from "./descriptor.ts";

export const CHAIN_ERRORS = {} as const satisfies Record<string, ErrorDescriptor>;
