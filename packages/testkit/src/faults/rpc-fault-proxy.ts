import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { CodedError } from "@iexec-ts/service";
import { isHex, keccak256 } from "viem";
import { WebSocketServer } from "ws";
import { z } from "zod";
import { readBody } from "./body.ts";
import { type ListeningProxy, listen } from "./listen.ts";
import { relaySockets, textOf } from "./relay.ts";

/** What is wrong with the node right now. Everything absent is fine; may be changed at any time. */
export interface RpcFaults {
  /** Requests and sockets are cut without an answer. */
  down?: boolean;
  /** Every answer waits this long. */
  delayMs?: number;
  /** The node has not seen blocks after this one. */
  staleAt?: bigint;
  /** The node says it serves this chain. */
  chainId?: number;
  /** HTTP 429 to this many more requests; Infinity for ever. */
  tooManyRequests?: number;
  /** `drop`: accepted with a hash, never passed on. `lost-answer`: passed on, then the connection is cut. `refuse`: JSON-RPC error. */
  sendRawTransaction?: "drop" | "lost-answer" | "refuse";
  /** Receipts are null, as on a node that has not indexed them yet. */
  nullReceipts?: boolean;
  /** eth_getLogs over more blocks than this is an error, as public nodes do. */
  maxLogRange?: bigint;
  /** eth_getLogs answers with at most this many logs and says nothing about the rest. */
  truncateLogs?: number;
  /** Answers that are not JSON. */
  garbage?: boolean;
  /** Methods that fail with this JSON-RPC error. */
  errors?: Readonly<Record<string, { readonly code: number; readonly message: string }>>;
}

export interface RpcFaultProxy extends ListeningProxy {
  readonly wsUrl: string;
  /** Change it to change the weather. */
  readonly faults: RpcFaults;
  /** Back to a healthy node. */
  heal(): void;
  /** Methods seen so far, one entry per call, batches taken apart. */
  readonly calls: readonly string[];
  /** Cuts the sockets that are open now. */
  cutSockets(): void;
}

const call = z.looseObject({ id: z.unknown(), method: z.string(), params: z.array(z.unknown()).optional() });
type RpcCall = z.infer<typeof call>;
interface RpcAnswer {
  readonly jsonrpc: "2.0";
  readonly id: unknown;
  readonly result?: unknown;
  readonly error?: { readonly code: number; readonly message: string };
}
const answerSchema = z.looseObject({
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string() }).optional(),
});

/**
 * An Ethereum node that misbehaves on request: HTTP and WebSocket in front of a healthy node. WebSockets know `down` (messages vanish) and
 * `staleAt` (no notifications) only; all other faults are of HTTP.
 *
 * @param target - http URL of the healthy node
 * SIDE EFFECTS: listens on loopback.
 */
export async function startRpcFaultProxy(target: string, options: { readonly port?: number } = {}): Promise<RpcFaultProxy> {
  const faults: RpcFaults = {};
  const calls: string[] = [];
  const context: Context = { target, faults, calls };
  const server = createServer((request, response) => {
    serve(context, request, response).catch(() => response.destroy());
  });
  const sockets = new WebSocketServer({ noServer: true });
  const relay = relaySockets({
    target: () => target.replace(/^http/, "ws"),
    allow: () => faults.down !== true,
    pass: (direction, message) =>
      faults.down !== true && !(direction === "down" && faults.staleAt !== undefined && textOf(message).includes('"eth_subscription"')),
  });
  server.on("upgrade", (request, socket, head) => relay.upgrade(sockets, request, socket, head));
  const listening = await listen(server, options.port ?? 0, "the RPC fault proxy");
  return {
    ...listening,
    wsUrl: listening.url.replace(/^http/, "ws"),
    faults,
    calls,
    heal: () => {
      for (const name of Object.keys(faults)) Reflect.deleteProperty(faults, name);
    },
    cutSockets: () => relay.cut(),
    stop: async () => {
      relay.cut();
      await listening.stop();
    },
  };
}

interface Context {
  readonly target: string;
  readonly faults: RpcFaults;
  readonly calls: string[];
}

async function serve(context: Context, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { faults } = context;
  const body = await readBody(request);
  if (faults.delayMs !== undefined) await delay(faults.delayMs);
  if (faults.down === true) return void response.destroy();
  if (faults.tooManyRequests !== undefined && faults.tooManyRequests > 0) {
    faults.tooManyRequests--;
    response.writeHead(429, { "content-type": "text/plain", "retry-after": "1" });
    return void response.end("rate limited");
  }
  if (faults.garbage === true) {
    response.writeHead(200, { "content-type": "application/json" });
    return void response.end("<html>bad gateway</html>");
  }
  const parsed: unknown = JSON.parse(body.toString("utf8"));
  const requests = z.array(call).parse(Array.isArray(parsed) ? parsed : [parsed]);
  context.calls.push(...requests.map((each) => each.method));
  const answers: RpcAnswer[] = [];
  for (const each of requests) {
    const answer = await answerOne(context, each);
    if (answer === "cut") return void response.destroy();
    answers.push(answer);
  }
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(Array.isArray(parsed) ? answers : answers[0]));
}

async function answerOne(context: Context, request: RpcCall): Promise<RpcAnswer | "cut"> {
  const { faults } = context;
  const { id, method } = request;
  const result = (value: unknown): RpcAnswer => ({ jsonrpc: "2.0", id, result: value });
  const failure = (code: number, message: string): RpcAnswer => ({ jsonrpc: "2.0", id, error: { code, message } });

  const wanted = faults.errors?.[method];
  if (wanted !== undefined) return failure(wanted.code, wanted.message);
  if (faults.chainId !== undefined && method === "eth_chainId") return result(`0x${faults.chainId.toString(16)}`);
  if (faults.chainId !== undefined && method === "net_version") return result(String(faults.chainId));
  if (method === "eth_getTransactionReceipt" && faults.nullReceipts === true) return result(null);
  if (method === "eth_sendRawTransaction" && faults.sendRawTransaction !== undefined) return sendBadly(context, request);
  if (method === "eth_getLogs" && faults.maxLogRange !== undefined && (await logRange(context, request)) > faults.maxLogRange) {
    return failure(-32_005, `query exceeds max block range ${faults.maxLogRange}`);
  }

  const answer = await forward(context, faults.staleAt === undefined ? request : makeStale(request, faults.staleAt));
  if (method === "eth_getLogs" && faults.truncateLogs !== undefined && Array.isArray(answer.result)) {
    return result(answer.result.slice(0, faults.truncateLogs));
  }
  if (faults.staleAt !== undefined) return result(hideNewer(method, answer.result, faults.staleAt));
  return answer;
}

async function sendBadly(context: Context, request: RpcCall): Promise<RpcAnswer | "cut"> {
  const id = request.id;
  switch (context.faults.sendRawTransaction) {
    case "lost-answer":
      await forward(context, request);
      return "cut";
    case "refuse":
      return { jsonrpc: "2.0", id, error: { code: -32_000, message: "transaction rejected by the fault proxy" } };
    default: {
      const raw = request.params?.[0];
      return { jsonrpc: "2.0", id, result: isHex(raw) ? keccak256(raw) : null };
    }
  }
}

async function forward(context: Context, request: RpcCall): Promise<RpcAnswer> {
  let text: string;
  try {
    const response = await fetch(context.target, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...request, jsonrpc: "2.0" }),
    });
    text = await response.text();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CodedError("NET-1401", { target: context.target, reason }, { cause: error });
  }
  const { result, error } = answerSchema.parse(JSON.parse(text));
  return error === undefined ? { jsonrpc: "2.0", id: request.id, result } : { jsonrpc: "2.0", id: request.id, error };
}

/** Where each method takes its block: position of the parameter. */
const BLOCK_PARAMETER: Readonly<Record<string, number>> = {
  eth_call: 1,
  eth_getBalance: 1,
  eth_getTransactionCount: 1,
  eth_getCode: 1,
  eth_estimateGas: 1,
  eth_getStorageAt: 2,
  eth_getBlockByNumber: 0,
};
const NAMED = new Set(["latest", "pending", "safe", "finalized"]);
const asHex = (value: bigint): string => `0x${value.toString(16)}`;

/** Turns "latest" into the block the node is stuck at. */
function makeStale(request: RpcCall, staleAt: bigint): RpcCall {
  const position = BLOCK_PARAMETER[request.method];
  const params = [...(request.params ?? [])];
  if (position !== undefined) {
    const block = params[position];
    if (block === undefined || (typeof block === "string" && NAMED.has(block))) params[position] = asHex(staleAt);
  }
  return { ...request, params };
}

const numbered = z.looseObject({ number: z.string().optional(), blockNumber: z.string().nullish() });

/** Takes back what a node stuck at `staleAt` cannot know. */
function hideNewer(method: string, result: unknown, staleAt: bigint): unknown {
  if (method === "eth_blockNumber") return asHex(staleAt);
  const isNewer = (value: unknown) => {
    const parsed = numbered.safeParse(value);
    const block = parsed.success ? (parsed.data.blockNumber ?? parsed.data.number) : undefined;
    return typeof block === "string" && BigInt(block) > staleAt;
  };
  if (Array.isArray(result)) return result.filter((each) => !isNewer(each));
  return isNewer(result) ? null : (result ?? null);
}

async function logRange(context: Context, request: RpcCall): Promise<bigint> {
  const filter = z.looseObject({ fromBlock: z.string().optional(), toBlock: z.string().optional() }).safeParse(request.params?.[0]);
  if (!filter.success) return 0n;
  const head = async () => BigInt(String((await forward(context, { id: 0, method: "eth_blockNumber", params: [] })).result));
  const numberOf = async (block: string | undefined) =>
    block === undefined || NAMED.has(block) ? head() : block === "earliest" ? 0n : BigInt(block);
  return (await numberOf(filter.data.toBlock)) - (await numberOf(filter.data.fromBlock)) + 1n;
}
