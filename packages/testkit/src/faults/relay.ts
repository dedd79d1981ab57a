import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type RawData, WebSocket, type WebSocketServer } from "ws";

/** `up`: from the client to the server behind the proxy; `down`: back. */
export type Direction = "up" | "down";

export interface RelayOptions {
  readonly target: (request: IncomingMessage) => string;
  readonly allow: () => boolean;
  /** Asked for every message; false drops it. */
  readonly pass: (direction: Direction, message: RawData, binary: boolean) => boolean;
}

export interface Relay {
  upgrade(server: WebSocketServer, request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** Cuts all pairs without a closing handshake, as a dead network does. */
  cut(): void;
}

/** Joins each WebSocket of a client with one to the target, subprotocol included. */
export function relaySockets(options: RelayOptions): Relay {
  const open = new Set<WebSocket>();
  const track = (socket: WebSocket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
    socket.on("error", () => socket.terminate());
  };

  return {
    upgrade(server, request, socket, head) {
      if (!options.allow()) return void socket.destroy();
      const protocols = (request.headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
      const upstream = new WebSocket(
        options.target(request),
        protocols.filter((name) => name !== ""),
      );
      track(upstream);
      upstream.once("error", () => socket.destroy());
      const early: { readonly message: RawData; readonly binary: boolean }[] = [];
      const hold = (message: RawData, binary: boolean) => early.push({ message, binary });
      upstream.on("message", hold);
      upstream.once("open", () => {
        // The client is offered only what the server behind has chosen.
        request.headers["sec-websocket-protocol"] = upstream.protocol;
        if (upstream.protocol === "") Reflect.deleteProperty(request.headers, "sec-websocket-protocol");
        server.handleUpgrade(request, socket, head, (client) => {
          track(client);
          upstream.off("message", hold);
          const down = (message: RawData, binary: boolean) => {
            if (options.pass("down", message, binary) && client.readyState === WebSocket.OPEN) client.send(message, { binary });
          };
          for (const { message, binary } of early) down(message, binary);
          upstream.on("message", down);
          client.on("message", (message, binary) => {
            if (options.pass("up", message, binary) && upstream.readyState === WebSocket.OPEN) upstream.send(message, { binary });
          });
          upstream.on("close", (code, reason) => closeWith(client, code, reason));
          client.on("close", (code, reason) => closeWith(upstream, code, reason));
        });
      });
    },
    cut() {
      for (const socket of open) socket.terminate();
    },
  };
}

/** Some codes only say that there was no closing frame; they may not be sent. */
function closeWith(socket: WebSocket, code: number, reason: Buffer): void {
  if (socket.readyState !== WebSocket.OPEN) return;
  if (code === 1005 || code === 1006) socket.terminate();
  else socket.close(code, reason);
}

export function textOf(message: RawData): string {
  if (Array.isArray(message)) return Buffer.concat(message).toString("utf8");
  return message instanceof ArrayBuffer ? Buffer.from(message).toString("utf8") : message.toString("utf8");
}
