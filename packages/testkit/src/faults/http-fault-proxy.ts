import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { CodedError } from "@iexec-ts/service";
import { WebSocketServer } from "ws";
import { type ListeningProxy, listen } from "./listen.ts";
import { type Direction, relaySockets, textOf } from "./relay.ts";

/** What is wrong with the link right now; may be changed at any time. */
export interface HttpFaults {
  /** Requests and sockets are cut without an answer. */
  down?: boolean;
  /** Requests reach the server this much later. */
  delayMs?: number;
  /** The request is served, the answer is lost: this many more times; Infinity for ever. */
  dropResponses?: number;
  /** Answer with this status instead of asking the server, this many more times. */
  status?: { readonly code: number; times: number };
  /** Which requests the three faults above hit; default all. */
  only?: (method: string, path: string) => boolean;
  /** Messages of WebSockets that are lost. */
  dropMessage?: (direction: Direction, text: string) => boolean;
}

export interface HttpFaultProxy extends ListeningProxy {
  readonly wsUrl: string;
  readonly faults: HttpFaults;
  heal(): void;
  /** "METHOD /path" of every request so far. */
  readonly requests: readonly string[];
  /** Cuts the WebSockets that are open now. */
  cutSockets(): void;
}

/**
 * The bad network between a worker and a scheduler: any HTTP server, with WebSockets, behind a proxy that fails on request.
 *
 * @param target - http URL of the server, without a path
 * SIDE EFFECTS: listens on loopback.
 */
export async function startHttpFaultProxy(target: string, options: { readonly port?: number } = {}): Promise<HttpFaultProxy> {
  const faults: HttpFaults = {};
  const requests: string[] = [];
  const server = createServer((request, response) => {
    serve(target, faults, requests, request, response).catch(() => response.destroy());
  });
  const sockets = new WebSocketServer({ noServer: true });
  const relay = relaySockets({
    target: (request) => `${target.replace(/^http/, "ws")}${request.url ?? "/"}`,
    allow: () => faults.down !== true,
    pass: (direction, message) => faults.down !== true && faults.dropMessage?.(direction, textOf(message)) !== true,
  });
  server.on("upgrade", (request, socket, head) => {
    requests.push(`UPGRADE ${request.url ?? "/"}`);
    relay.upgrade(sockets, request, socket, head);
  });
  const listening = await listen(server, options.port ?? 0, "the HTTP fault proxy");
  return {
    ...listening,
    wsUrl: listening.url.replace(/^http/, "ws"),
    faults,
    requests,
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

async function serve(
  target: string,
  faults: HttpFaults,
  requests: string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const method = request.method ?? "GET";
  const path = request.url ?? "/";
  requests.push(`${method} ${path}`);
  if (faults.down === true) return void response.destroy();
  const hit = faults.only?.(method, path) ?? true;
  if (hit && faults.delayMs !== undefined) await delay(faults.delayMs);
  if (hit && faults.status !== undefined && faults.status.times > 0) {
    faults.status.times--;
    response.writeHead(faults.status.code, { connection: "close" });
    return void response.end();
  }
  const drop = hit && faults.dropResponses !== undefined && faults.dropResponses > 0;
  if (drop && faults.dropResponses !== undefined) faults.dropResponses--;

  const answer = await forward(target, request, response);
  if (drop) {
    answer.resume();
    return void response.destroy();
  }
  response.writeHead(answer.statusCode ?? 502, answer.headers);
  await pipeline(answer, response);
}

function forward(target: string, request: IncomingMessage, response: ServerResponse): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const { host: _host, ...headers } = request.headers;
    const upstream = httpRequest(
      new URL(request.url ?? "/", target),
      { method: request.method, headers: { ...headers, host: new URL(target).host } },
      (answer) => {
        response.off("close", giveUp);
        resolve(answer);
      },
    );
    // A client that leaves before the answer leaves the server too: it may be waiting for work.
    const giveUp = () => upstream.destroy(new Error("the client has gone"));
    response.once("close", giveUp);
    upstream.once("error", (cause) => reject(new CodedError("NET-1401", { target, reason: cause.message }, { cause })));
    pipeline(request, upstream).catch((cause: unknown) => {
      upstream.destroy();
      reject(cause);
    });
  });
}
