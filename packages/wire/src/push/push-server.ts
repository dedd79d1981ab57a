import websocket from "@fastify/websocket";
import { type Clock, CodedError, createWatchdog, type Random, systemClock, systemRandom, type Watchdog } from "@iexec-ts/service";
import type { FastifyInstance, FastifyReply } from "fastify";
import type { WebSocket } from "ws";
import { z } from "zod";
import type { PushServer, TaskNotification } from "../api.ts";
import { writeNotification } from "../messages/tasks.ts";
import { pause } from "../pause.ts";
import { TopicBroker } from "./broker.ts";
import { type Receiver, SockJsSession, TAKEN } from "./sockjs-session.ts";

export interface PushServerOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  /** Sessions of this process; further ones are turned away. */
  readonly maxSessions?: number;
  /** False announces no websocket, as a Java core does; for tests of the HTTP transports. */
  readonly websocket?: boolean;
  /** Watches over the heart-beats; one of its own unless given. */
  readonly watchdog?: Watchdog;
}

/** A streaming response is closed after this much, and the client opens the next. @source wire.md 2.1 */
const STREAM_LIMIT = 128 * 1024;
const PRELUDE = `${"h".repeat(2048)}\n`;
const TICK_MS = 5_000;
const BOUND_MS = 60_000;
const BODY_LIMIT = 64 * 1024;

const pathParams = z.object({ server: z.string().regex(/^[^./]{1,16}$/), session: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/) });
const messagesSchema = z.array(z.string());

/**
 * The push channel at /connect: SockJS (websocket, xhr_streaming and xhr_send, xhr) carrying STOMP. No Origin is asked for or checked.
 *
 * SIDE EFFECTS: registers routes on `app`, and @fastify/websocket too unless it is there already; call before `app.listen`. One timer.
 * @source wire.md 2
 */
export function createPushServer(app: FastifyInstance, options: PushServerOptions = {}): PushServer {
  const { clock = systemClock, random = systemRandom, maxSessions = 20_000, websocket: announced = true } = options;
  const broker = new TopicBroker(clock);
  const sessions = new Map<string, SockJsSession>();
  const sockets = new Set<SockJsSession>();
  const stopped = new AbortController();

  const close = async (): Promise<void> => {
    stopped.abort(new CodedError("WIR-1006"));
    for (const session of [...sessions.values(), ...sockets]) session.end();
  };
  const isFull = (): boolean => stopped.signal.aborted || sessions.size + sockets.size >= maxSessions;

  const sessionFor = (id: string): SockJsSession | undefined => {
    const known = sessions.get(id);
    if (known !== undefined || isFull()) return known;
    const session = new SockJsSession(broker, clock, () => sessions.delete(id));
    sessions.set(id, session);
    return session;
  };

  const receiveOver = (reply: FastifyReply, params: unknown, limit: number, prelude: string): FastifyReply => {
    const path = pathParams.safeParse(params);
    if (!path.success) return reply.code(404).send();
    const session = sessionFor(path.data.session);
    if (session === undefined) return reply.code(503).send();
    reply.hijack();
    reply.raw.writeHead(200, {
      "content-type": "application/javascript; charset=UTF-8",
      "cache-control": "no-store, no-transform",
      "x-accel-buffering": "no",
    });
    reply.raw.write(prelude);
    const receiver = httpReceiver(reply, limit);
    reply.raw.once("close", () => session.detach(receiver));
    if (!session.attach(receiver)) reply.raw.end(`${TAKEN}\n`);
    return reply;
  };

  app.register(async (scope) => {
    if (!app.hasDecorator("websocketServer")) await app.register(websocket, { options: { maxPayload: BODY_LIMIT } });
    await scope.register(async (routes) => {
      routes.addHook("preClose", close);
      routes.removeAllContentTypeParsers();
      routes.addContentTypeParser("*", { parseAs: "string", bodyLimit: BODY_LIMIT }, async (_request: unknown, body: string | Buffer) =>
        String(body),
      );

      routes.get("/connect/info", async (_request, reply) => {
        const entropy = new DataView(random.bytes(4).buffer).getUint32(0);
        reply.header("cache-control", "no-store, no-cache, must-revalidate, max-age=0");
        return reply.send({ entropy, origins: ["*:*"], cookie_needed: false, websocket: announced });
      });
      routes.post("/connect/:server/:session/xhr_streaming", async (request, reply) =>
        receiveOver(reply, request.params, STREAM_LIMIT, PRELUDE),
      );
      routes.post("/connect/:server/:session/xhr", async (request, reply) => receiveOver(reply, request.params, 1, ""));
      routes.post("/connect/:server/:session/xhr_send", async (request, reply) => {
        const path = pathParams.safeParse(request.params);
        const session = path.success ? sessions.get(path.data.session) : undefined;
        if (session === undefined) return reply.code(404).send();
        const messages = readMessages(request.body);
        if (messages === undefined) return reply.code(500).type("text/plain").send("Broken JSON encoding.");
        session.receive(messages);
        return reply.code(204).send();
      });
      if (announced) {
        routes.get("/connect/:server/:session/websocket", { websocket: true }, (socket) => {
          if (isFull()) return socket.close(1013);
          const session: SockJsSession = new SockJsSession(broker, clock, () => sockets.delete(session));
          sockets.add(session);
          serveSocket(socket, session);
        });
      }
    });
  });

  const watchdog = options.watchdog ?? createWatchdog({ clock, random });
  void watchdog.keep({ loop: "push heart-beat", boundMs: BOUND_MS, signal: stopped.signal }, async (pulse) => {
    while (await pause(clock, TICK_MS, pulse.signal)) {
      pulse.beat();
      for (const session of [...sessions.values(), ...sockets]) session.tick();
    }
  });

  return {
    publish: (notification: TaskNotification): number =>
      broker.publish(notification.taskId, JSON.stringify(writeNotification(notification))),
    close,
  };
}

function httpReceiver(reply: FastifyReply, limit: number): Receiver {
  const { raw } = reply;
  let written = 0;
  return {
    write(frame) {
      if (raw.writableEnded || raw.destroyed) return false;
      const line = `${frame}\n`;
      written += Buffer.byteLength(line);
      raw.write(line);
      if (written < limit) return true;
      raw.end();
      return false;
    },
    end: () => void raw.end(),
    get backlog() {
      return raw.writableLength;
    },
  };
}

function serveSocket(socket: WebSocket, session: SockJsSession): void {
  const receiver: Receiver = {
    write(frame) {
      socket.send(frame);
      return true;
    },
    end: () => socket.close(1000),
    get backlog() {
      return socket.bufferedAmount;
    },
  };
  socket.on("message", (data) => {
    const messages = readMessages(String(data));
    if (messages === undefined) session.close();
    else session.receive(messages);
  });
  // ws reports an error and then the close; the close is what counts.
  socket.on("error", () => socket.terminate());
  socket.once("close", () => session.close());
  session.attach(receiver);
}

/** One text or an array of texts; undefined for anything else. */
function readMessages(body: unknown): readonly string[] | undefined {
  if (typeof body !== "string") return undefined;
  if (body === "") return [];
  try {
    const json: unknown = JSON.parse(body);
    if (typeof json === "string") return [json];
    const parsed = messagesSchema.safeParse(json);
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
