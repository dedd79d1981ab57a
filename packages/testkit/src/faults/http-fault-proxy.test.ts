import { createServer, type Server } from "node:http";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { type HttpFaultProxy, startHttpFaultProxy } from "../index.ts";
import { readBody } from "./body.ts";

let server: Server;
let sockets: WebSocketServer;
let proxy: HttpFaultProxy;
const served: string[] = [];

beforeAll(async () => {
  server = createServer(async (request, response) => {
    const body = String(await readBody(request));
    served.push(`${request.method} ${request.url} ${body}`);
    response.writeHead(201, { "x-answer": "yes" });
    response.end(`echo ${body}`);
  });
  sockets = new WebSocketServer({ server, handleProtocols: (protocols) => (protocols.has("v12.stomp") ? "v12.stomp" : false) });
  sockets.on("connection", (socket, request) => {
    socket.send(`welcome ${request.url}`);
    socket.on("message", (message) => socket.send(`echo ${message}`));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  proxy = await startHttpFaultProxy(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`);
});
afterEach(() => proxy.heal());
afterAll(async () => {
  await proxy.stop();
  sockets.close();
  server.closeAllConnections();
  server.close();
});

const post = (path: string, body: string) => fetch(`${proxy.url}${path}`, { method: "POST", body });

test("passes requests and answers as they are", async () => {
  const response = await post("/a?b=c", "hello");
  expect([response.status, response.headers.get("x-answer"), await response.text()]).toEqual([201, "yes", "echo hello"]);
  expect(served.at(-1)).toBe("POST /a?b=c hello");
  expect(proxy.requests.at(-1)).toBe("POST /a?b=c");
});

test("a lost answer has been served all the same", async () => {
  proxy.faults.dropResponses = 1;
  await expect(post("/lost", "once")).rejects.toThrow();
  expect(served.at(-1)).toBe("POST /lost once");
  expect((await post("/lost", "twice")).status).toBe(201);
});

test("down, and a status instead of an answer, for chosen requests only", async () => {
  proxy.faults.status = { code: 503, times: 1 };
  proxy.faults.only = (_method, path) => path === "/busy";
  expect((await post("/fine", "")).status).toBe(201);
  expect((await post("/busy", "")).status).toBe(503);
  expect((await post("/busy", "")).status).toBe(201);
  proxy.faults.down = true;
  await expect(post("/fine", "")).rejects.toThrow();
});

test("WebSockets pass with their subprotocol and first words; messages can be lost; the line can be cut", async () => {
  const socket = new WebSocket(`${proxy.wsUrl}/ws`, ["v11.stomp", "v12.stomp"]);
  const messages: string[] = [];
  const next = () => new Promise<string>((resolve) => socket.once("message", (message) => resolve(String(message))));
  const welcome = next();
  const closed = new Promise<number>((resolve) => socket.once("close", resolve));
  await new Promise((resolve) => socket.once("open", resolve));
  expect(socket.protocol).toBe("v12.stomp");
  expect(await welcome).toBe("welcome /ws");

  proxy.faults.dropMessage = (direction, text) => direction === "up" && text === "lost";
  socket.on("message", (message) => messages.push(String(message)));
  const echo = next();
  socket.send("lost");
  socket.send("kept");
  expect(await echo).toBe("echo kept");
  expect(messages).toEqual(["echo kept"]);
  proxy.cutSockets();
  expect(await closed).toBe(1006);
});

test("no socket opens while the link is down", async () => {
  proxy.faults.down = true;
  const socket = new WebSocket(`${proxy.wsUrl}/ws`);
  await new Promise((resolve) => socket.once("error", resolve));
});
