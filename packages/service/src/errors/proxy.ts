import type { ErrorDescriptor } from "./descriptor.ts";

export const PROXY_ERRORS = {} as const satisfies Record<string, ErrorDescriptor>;
