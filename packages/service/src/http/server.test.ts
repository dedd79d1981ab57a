import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, expect, test } from "vitest";
import { z } from "zod";
import { CodedError } from "../errors/coded-error.ts";
import { createLogger, silentLogger } from "../logger.ts";
import { createMetrics } from "../metrics.ts";
import { createHealth } from "./health.ts";
import { createHttpServer, type HttpServer, type HttpServerOptions } from "./server.ts";

const open: HttpServer[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((server) => server.close(100)));
});

async function start(options: Partial<HttpServerOptions> = {}, routes: (server: HttpServer) => void = () => undefined) {
  const health = createHealth({ timeoutMs: 50 });
  const metrics = createMetrics("test_");
  const server = await createHttpServer({
    name: "sample",
    version: "1.2.3",
    host: "127.0.0.1",
    port: 0,
    portSetting: "IEXEC_WORKER_PORT or --port",
    logger: silentLogger,
    metrics,
    health,
    ...options,
  });
  open.push(server);
  routes(server);
  const { url, port } = await server.listen();
  const get = async (path: string, init?: RequestInit) => {
    const response = await fetch(`${url}${path}`, init);
    const text = await response.text();
    return { status: response.status, text, json: (): unknown => JSON.parse(text) };
  };
  return { server, health, metrics, url, port, get };
}

const echo = (server: HttpServer): void => {
  server.app.post(
    "/echo/:times",
    { schema: { params: z.object({ times: z.coerce.number().int().max(3) }), body: z.object({ word: z.string() }) } },
    ({ body, params }) => ({
      said: body.word.repeat(params.times),
    }),
  );
};
const post = (body: unknown): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

test("health is UP, then DOWN with details and 503, on both paths", async () => {
  const { health, get } = await start();
  health.register("chain", () => ({ status: "UP", details: { block: 12 } }));
  expect(await get("/health").then((r) => [r.status, r.json()])).toEqual([
    200,
    { status: "UP", components: { chain: { status: "UP", details: { block: 12 } } } },
  ]);
  const remove = health.register("docker", () => {
    throw new CodedError("SVC-1402", { path: "x", reason: "y" });
  });
  health.register("silent", () => new Promise(() => undefined));
  const down = await get("/actuator/health");
  expect(down.status).toBe(503);
  expect(down.json()).toMatchObject({
    status: "DOWN",
    components: { chain: { status: "UP" }, docker: { details: { code: "SVC-1402" } }, silent: { status: "DOWN" } },
  });
  remove();
  expect((await health.report()).components).not.toHaveProperty("docker");
});

test("version, metrics and the API description answer; a service may answer them itself", async () => {
  const { get } = await start({}, echo);
  expect((await get("/version")).json()).toEqual({ name: "sample", version: "1.2.3" });
  expect((await get("/metrics")).text).toContain("test_http_request_seconds");
  expect((await get("/openapi.json")).json()).toMatchObject({ info: { title: "sample" }, paths: { "/echo/{times}": {}, "/health": {} } });
  const own = await start({ without: ["/version"] }, ({ app }) => void app.get("/version", () => "9.1.0"));
  expect((await own.get("/version")).text).toBe("9.1.0");
});

test("requests are parsed by their schema and refused with a code", async () => {
  const { get, metrics } = await start({ bodyLimitBytes: 100 }, echo);
  expect((await get("/echo/2", post({ word: "ha" }))).json()).toEqual({ said: "haha" });
  const cases = [
    ["/echo/9", post({ word: "ha" }), 400, "SVC-1203"],
    ["/echo/1", post({}), 400, "SVC-1203"],
    ["/echo/1", post({ word: "x".repeat(200) }), 413, "SVC-1204"],
    ["/none?secret=1", undefined, 404, "SVC-1205"],
    ["/echo/1", { ...post({}), body: "{" }, 400, "SVC-1206"],
  ] as const;
  for (const [path, init, status, code] of cases) {
    const answer = await get(path, init);
    expect([answer.status, answer.json()], path).toEqual([status, { code, message: expect.any(String), fix: expect.any(String) }]);
    expect(answer.text).not.toContain("secret=1");
  }
  expect(await metrics.text()).toContain('iexec_errors_total{code="SVC-1203"} 2');
});

test("a coded error keeps its code, an unforeseen one hides its text from the caller and shows it in the log", async () => {
  const lines: string[] = [];
  const logger = createLogger({ level: "info", destination: { write: (line) => void lines.push(line) } });
  const { get } = await start({ logger }, ({ app }) => {
    app.get("/coded", () => {
      throw new CodedError("SVC-1402", { path: "p", reason: "r" });
    });
    app.get("/bug", () => {
      throw new TypeError("inner detail");
    });
  });
  expect(await get("/coded").then((r) => [r.status, r.json()])).toMatchObject([503, { code: "SVC-1402" }]);
  const bug = await get("/bug");
  expect([bug.status, bug.json()]).toMatchObject([500, { code: "SVC-1000" }]);
  expect(bug.text).not.toContain("inner detail");
  expect(lines.join("")).toContain("inner detail");
});

test("a taken port is named together with the setting that moves it", async () => {
  const { port } = await start();
  await expect(start({ port })).rejects.toMatchObject({
    code: "SVC-1201",
    args: { host: "127.0.0.1", port, setting: "IEXEC_WORKER_PORT or --port" },
  });
  await expect(start({ host: "203.0.113.1" })).rejects.toMatchObject({ code: "SVC-1202" });
});

test("closing lets a running request end", async () => {
  const running = Promise.withResolvers<void>();
  const mayEnd = Promise.withResolvers<void>();
  const { server, get } = await start({}, ({ app }) => {
    app.get("/slow", async () => {
      running.resolve();
      await mayEnd.promise;
      return "done";
    });
  });
  const answer = get("/slow");
  await running.promise;
  const closed = server.close(60_000);
  mayEnd.resolve();
  expect((await answer).text).toBe("done");
  await closed;
});

test("closing cuts a request that never ends", async () => {
  const { server, port } = await start();
  const hanging = connect(port, "127.0.0.1");
  hanging.on("error", () => undefined);
  const gone = once(hanging, "close");
  await once(hanging, "connect");
  hanging.write("GET /version HTTP/1.1\r\n");
  await server.close(50);
  await gone;
});
