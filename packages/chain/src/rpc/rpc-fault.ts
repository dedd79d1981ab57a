import { RpcRequestError } from "viem";

/** An error object that a node answered with: it understood us and said no. */
export interface RpcFault {
  readonly code: number;
  readonly message: string;
  readonly data: unknown;
}

/** Thrown inside this package when a node answers with an error object. */
export class NodeFault extends Error implements RpcFault {
  readonly code: number;
  readonly data: unknown;

  constructor(fault: RpcFault) {
    super(fault.message);
    this.name = "NodeFault";
    this.code = fault.code;
    this.data = fault.data;
  }
}

const MAX_DEPTH = 12;

/** The node's error object inside anything thrown by this package or by viem, or undefined when no node said no. */
export function faultOf(thrown: unknown): RpcFault | undefined {
  let current = thrown;
  for (let depth = 0; depth < MAX_DEPTH && current instanceof Error; depth += 1) {
    if (current instanceof NodeFault) return current;
    if (current instanceof RpcRequestError) return { code: current.code, message: current.details, data: current.data };
    current = current.cause;
  }
  return undefined;
}
