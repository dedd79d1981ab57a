import { CodedError } from "@iexec-ts/service";
import { RpcRequestError } from "viem";
import { z } from "zod";
import type { Endpoint } from "./endpoint.ts";
import { FORBIDDEN_METHODS } from "./forbidden-methods.ts";
import type { HeadLine } from "./head-line.ts";
import { quantitySchema } from "./head-schema.ts";
import { isNodeTrouble } from "./node-texts.ts";
import { NodeFault, type RpcFault } from "./rpc-fault.ts";

const METHOD_NOT_FOUND = -32601;

export interface ReaderParts {
  readonly endpoints: readonly Endpoint[];
  readonly line: HeadLine;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** False when `deadline` passes first. */
  readonly nextChange: (deadlineMs: number) => Promise<boolean>;
  readonly onTrouble: (endpoint: Endpoint) => void;
  readonly lookAgain: (endpoint: Endpoint) => void;
  readonly reasons: () => string;
}

const receiptSchema = z.object({ blockNumber: quantitySchema });
const blockSchema = z.object({ number: quantitySchema });

/**
 * The request function behind the viem client: asks the first configured node that is level with the newest block, goes on to the next when
 * it does not answer, and waits a while when none is level.
 *
 * Errors: RpcRequestError when nodes answered with an error, CHN-1003 when none could be asked, CHN-1005 closed.
 */
export function createReader(parts: ReaderParts): (request: { method: string; params?: unknown }) => Promise<unknown> {
  return async ({ method, params }) => {
    if (FORBIDDEN_METHODS.has(method))
      throw asViem({ code: METHOD_NOT_FOUND, message: `method ${method} is not used here`, data: undefined }, method);
    const deadline = parts.now() + parts.timeoutMs;
    const tried = new Set<Endpoint>();
    let trouble: NodeFault | undefined;
    const silent = new Set<Endpoint>();
    // Bounded: each question has a deadline, and after that of the whole no node is asked twice.
    for (;;) {
      parts.signal.throwIfAborted();
      // A node that answers its monitor and nothing else comes back each time it is given up.
      const endpoint = pick(parts, parts.now() > deadline ? new Set([...tried, ...silent]) : tried);
      if (endpoint === undefined) {
        // A node that was not looked at yet, just after the start, may be the one that answers.
        const others = parts.endpoints.some((one) => !tried.has(one) && one.health === "undialed") && parts.now() < deadline;
        if (trouble !== undefined && !others) throw asViem(trouble, method, tried);
        if (!(await parts.nextChange(deadline)) && trouble === undefined)
          throw new CodedError("CHN-1003", { method, reason: parts.reasons() });
        continue;
      }
      try {
        const answer = await endpoint.call(method, params, parts.signal);
        noteBlock(parts, endpoint, method, params, answer);
        return answer;
      } catch (error) {
        parts.signal.throwIfAborted();
        if (!(error instanceof NodeFault)) {
          parts.onTrouble(endpoint);
          silent.add(endpoint);
          continue;
        }
        if (!isNodeTrouble(error)) throw asViem(error, method, [endpoint]);
        trouble = error;
        tried.add(endpoint);
      }
    }
  };
}

function pick({ endpoints, line }: ReaderParts, tried: ReadonlySet<Endpoint>): Endpoint | undefined {
  const level = endpoints.filter((endpoint) => !tried.has(endpoint) && line.isLevel(endpoint));
  return level.find(({ health }) => health === "alive") ?? level[0];
}

/** What an answer says about the height of the chain: later answers must not come from below it. */
function noteBlock(parts: ReaderParts, endpoint: Endpoint, method: string, params: unknown, answer: unknown): void {
  const number = blockIn(method, params, answer);
  if (number === undefined || number <= parts.line.floor) return;
  parts.line.raiseFloor(endpoint, number);
  parts.lookAgain(endpoint);
}

function blockIn(method: string, params: unknown, answer: unknown): bigint | undefined {
  if (method === "eth_blockNumber") return quantitySchema.safeParse(answer).data;
  if (method === "eth_getTransactionReceipt") return receiptSchema.safeParse(answer).data?.blockNumber;
  if (method === "eth_getBlockByNumber" && Array.isArray(params) && params[0] === "latest")
    return blockSchema.safeParse(answer).data?.number;
  return undefined;
}

function asViem(fault: RpcFault, method: string, endpoints: Iterable<Endpoint> = []): RpcRequestError {
  const { code, message, data } = fault;
  const url = [...endpoints].map(({ name }) => name).join(", ");
  return new RpcRequestError({ body: { method }, error: { code, message, data }, url });
}
