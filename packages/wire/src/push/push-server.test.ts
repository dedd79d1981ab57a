import { once } from "node:events";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { Client, type IStompSocket } from "@stomp/stompjs";
import { afterEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { notificationOf, OTHER_TASK, type RunningScheduler, rawRequest, startScheduler, TASK, until } from "../testing/fake-scheduler.ts";
import { encodeFrame } from "./stomp.ts";

const running: RunningScheduler[] = [];
const start = async (...options: Parameters<typeof startScheduler>): Promise<RunningScheduler> => {
  const scheduler = await startScheduler(...options);
  running.push(scheduler);
  return scheduler;
};
afterEach(async () => {
  for (const scheduler of running.splice(0)) await scheduler.stop();
});

interface Stream {
  readonly response: IncomingMessage;
  readonly request: ClientRequest;
  text(): string;
  lines(): string[];
  readonly ended: Promise<unknown>;
}

async function openStream(url: string, headers: Record<string, string> = {}): Promise<Stream> {
  const outgoing = request(url, { method: "POST", agent: false, headers: { "content-length": "0", ...headers } });
  outgoing.end();
  const [response] = await once(outgoing, "response");
  let text = "";
  response.setEncoding("utf8").on("data", (chunk: string) => {
    text += chunk;
  });
  response.on("error", () => undefined);
  return {
    response,
    request: outgoing,
    text: () => text,
    lines: () => text.split("\n").filter((line) => line !== ""),
    ended: new Promise((resolve) => response.once("close", resolve)),
  };
}

const connect = encodeFrame("CONNECT", { "accept-version": "1.1,1.2", "heart-beat": "10000,10000" });
const subscribe = (task: string, id = "1") => encodeFrame("SUBSCRIBE", { id, destination: `/topic/task/${task}` });
const say = (base: string, ...frames: string[]) =>
  rawRequest("POST", `${base}/xhr_send`, { body: JSON.stringify(frames), headers: { "content-type": "application/json;charset=UTF-8" } });

describe("SockJS over HTTP, as the Java worker uses it", () => {
  test("info announces the websocket, unless told otherwise", async () => {
    const { url } = await start();
    expect(JSON.parse((await rawRequest("GET", `${url}/connect/info`)).text)).toMatchObject({ websocket: true, origins: ["*:*"] });
    const plain = await start({ websocket: false });
    expect(JSON.parse((await rawRequest("GET", `${plain.url}/connect/info`)).text)).toMatchObject({ websocket: false });
  });

  test("prelude, open frame, STOMP frames; with and without a foreign Origin", async () => {
    const { url, push } = await start();
    for (const [session, headers] of Object.entries({ plain: {}, foreign: { origin: "http://elsewhere.example" } })) {
      const base = `${url}/connect/123/${session}`;
      const stream = await openStream(`${base}/xhr_streaming`, headers);
      expect((await say(base, connect, subscribe(TASK))).status).toBe(204);
      await until(() => stream.lines().length >= 3);
      const [prelude, open, connected] = stream.lines();
      expect([prelude?.length, open]).toEqual([2048, "o"]);
      expect(connected).toMatch(/^a\["CONNECTED\\nversion:1\.2/);
      expect(push.publish(notificationOf())).toBeGreaterThan(0);
      await until(() => stream.lines().length >= 4);
      expect(stream.lines()[3]).toMatch(/^a\["MESSAGE/);
      stream.request.destroy();
    }
  });

  test("the response ends after 128 KiB; the session goes on with the next one, nothing lost", async () => {
    const { url, push } = await start();
    const base = `${url}/connect/000/long`;
    const first = await openStream(`${base}/xhr_streaming`);
    await say(base, connect, subscribe(TASK));
    await until(() => first.text().includes("CONNECTED"));
    const filler = "s".repeat(10_000);
    for (let block = 1n; block <= 20n; block += 1n) push.publish(notificationOf({ blockNumber: block, smsUrl: filler }));
    await first.ended;
    expect(first.text().length).toBeGreaterThan(128 * 1024);
    expect(first.text().length).toBeLessThan(150 * 1024);
    const second = await openStream(`${base}/xhr_streaming`);
    const blocks = () => [...(first.text() + second.text()).matchAll(/blockNumber\\":(\d+)/g)].map((match) => Number(match[1]));
    await until(() => blocks().length === 20);
    expect(blocks()).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
    expect(second.lines()).not.toContain("o");
    second.request.destroy();
  });

  test("polling gives one frame each", async () => {
    const { url } = await start();
    const base = `${url}/connect/000/poll`;
    expect(await rawRequest("POST", `${base}/xhr`)).toMatchObject({ status: 200, text: "o\n" });
    const waiting = rawRequest("POST", `${base}/xhr`);
    await say(base, connect);
    expect((await waiting).text).toMatch(/^(a\["CONNECTED|h\n)/);
  });

  test("a second receiver is sent away, an unknown session is 404, broken JSON is 500", async () => {
    const { url } = await start();
    const base = `${url}/connect/000/one`;
    const first = await openStream(`${base}/xhr_streaming`);
    const second = await openStream(`${base}/xhr_streaming`);
    await second.ended;
    expect(second.lines().at(-1)).toBe(`c[2010,"Another connection still open"]`);
    expect((await say(`${url}/connect/000/other`, connect)).status).toBe(404);
    expect((await rawRequest("POST", `${base}/xhr_send`, { body: "{" })).status).toBe(500);
    expect((await rawRequest("POST", `${url}/connect/000/${"x".repeat(65)}/xhr_streaming`)).status).toBe(404);
    first.request.destroy();
  });

  test("a forged notification is refused and reaches nobody", async () => {
    const { url, push } = await start();
    const victim = await openStream(`${url}/connect/000/victim/xhr_streaming`);
    await say(`${url}/connect/000/victim`, connect, subscribe(TASK));
    const attacker = await openStream(`${url}/connect/000/attacker/xhr_streaming`);
    await say(`${url}/connect/000/attacker`, connect, encodeFrame("SEND", { destination: `/topic/task/${TASK}` }, `{"forged":true}`));
    await attacker.ended;
    expect(attacker.text()).toContain("ERROR");
    expect(attacker.lines().at(-1)).toBe(`c[3000,"Go away!"]`);
    push.publish(notificationOf());
    await until(() => victim.text().includes("MESSAGE"));
    expect(victim.text()).not.toContain("forged");
    victim.request.destroy();
  });

  test("a flood is cut off", async () => {
    const { url } = await start();
    const base = `${url}/connect/000/flood`;
    const stream = await openStream(`${base}/xhr_streaming`);
    await say(base, connect);
    const acks = Array.from({ length: 1_000 }, () => encodeFrame("ACK", { id: "1" }));
    const statuses: number[] = [];
    for (let round = 0; round < 4; round += 1) statuses.push((await say(base, ...acks)).status);
    await stream.ended;
    expect(stream.text()).toContain("too many frames");
    expect(statuses.at(-1)).toBe(404);
    expect((await rawRequest("POST", `${base}/xhr_send`, { body: "x".repeat(100_000) })).status).toBe(413);
  });

  test("stopping ends every stream", async () => {
    const scheduler = await start();
    const stream = await openStream(`${scheduler.url}/connect/000/s/xhr_streaming`);
    await scheduler.stop();
    await stream.ended;
    expect(stream.lines()).toContain("o");
  });
});

describe("SockJS over a websocket", () => {
  test("a third-party STOMP client subscribes and receives", async () => {
    const { url, push } = await start();
    const bodies: string[] = [];
    const client = new Client({
      webSocketFactory: () => sockJsSocket(`${url.replace("http", "ws")}/connect/000/third/websocket`),
      reconnectDelay: 0,
    });
    const connected = Promise.withResolvers<void>();
    client.onConnect = () => {
      client.subscribe(`/topic/task/${TASK}`, (message) => bodies.push(message.body));
      connected.resolve();
    };
    client.activate();
    await connected.promise;
    await until(() => push.publish(notificationOf()) === 1);
    await until(() => bodies.length > 0);
    expect(JSON.parse(bodies[0] ?? "")).toMatchObject({ chainTaskId: TASK, taskNotificationType: "PLEASE_REVEAL" });
    expect(push.publish(notificationOf({ taskId: OTHER_TASK }))).toBe(0);
    await client.deactivate();
    await until(() => push.publish(notificationOf()) === 0);
  });

  test("broken framing closes the connection", async () => {
    const { url } = await start();
    const socket = new WebSocket(`${url.replace("http", "ws")}/connect/000/bad/websocket`);
    await once(socket, "open");
    socket.send("not json");
    await once(socket, "close");
    const large = new WebSocket(`${url.replace("http", "ws")}/connect/000/large/websocket`);
    await once(large, "open");
    large.send("x".repeat(1024 * 1024));
    await once(large, "close");
  });
});

/** A SockJS websocket dressed as a plain one, as sockjs-client would be. */
function sockJsSocket(url: string): IStompSocket {
  const socket = new WebSocket(url);
  const dressed: IStompSocket = {
    url,
    readyState: 0,
    onopen: undefined,
    onclose: undefined,
    onerror: undefined,
    onmessage: undefined,
    send: (data) => socket.send(JSON.stringify([String(data)])),
    close: () => socket.close(),
  };
  socket.on("message", (data) => {
    const line = String(data);
    if (line === "o") {
      Object.assign(dressed, { readyState: 1 });
      dressed.onopen?.();
    } else if (line.startsWith("a")) for (const text of JSON.parse(line.slice(1))) dressed.onmessage?.({ data: text });
  });
  socket.on("close", (code) => {
    Object.assign(dressed, { readyState: 3 });
    dressed.onclose?.({ code });
  });
  socket.on("error", () => undefined);
  return dressed;
}
