export { type Clock, systemClock } from "./clock.ts";
export { CATALOGUE, type ErrorCode } from "./errors/catalogue.ts";
export { CodedError, type ErrorArguments, hasCode } from "./errors/coded-error.ts";
export type { ErrorDescriptor, RetryClass } from "./errors/descriptor.ts";
