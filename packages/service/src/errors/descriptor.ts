/**
 * What a caller may do about an error.
 *
 * - `retry`: the same call may succeed later without anybody doing anything
 * - `operator`: a person must change something (setting, funds, wallet)
 * - `environment`: the host or a neighbour is not as needed (Docker, disk, network)
 * - `protocol`: a peer or the chain said something that the protocol forbids or that ends this attempt
 * - `bug`: ours; report it
 */
export type RetryClass = "retry" | "operator" | "environment" | "protocol" | "bug";

export interface ErrorDescriptor {
  /** One line; `{name}` is replaced by the argument of that name. */
  readonly message: string;
  /** The usual reason. */
  readonly cause: string;
  /** What to do now, for the person who reads it. */
  readonly fix: string;
  readonly retry: RetryClass;
}
