import { type Hex, isFinal } from "@iexec-ts/poco";
import { CodedError, createHealth, createHttpServer, type HttpServer, type Logger, systemClock, tellStalls } from "@iexec-ts/service";
import { parsePage } from "./cli/facts/page-facts.ts";
import type { WorkerSettings } from "./config.ts";
import { doingOf, doingView } from "./control/doing.ts";
import { slotsOf } from "./host-check.ts";
import { LOOPS } from "./loop-words.ts";
import { EventStreams } from "./page/event-stream.ts";
import { HostFacts } from "./page/host-facts.ts";
import { fromInside } from "./page/inside-facts.ts";
import { LiveFactsFeed } from "./page/live-facts.ts";
import { overviewOf } from "./page/overview.ts";
import { addPageRoutes, MAX_PAGES } from "./page/routes.ts";
import { taskDetail, taskSummary } from "./page/task-detail.ts";
import { createWorkerMetrics } from "./page/worker-metrics.ts";
import { slotsInUse } from "./session/demand.ts";
import { VERSION } from "./version.ts";
import type { WorkerHandle } from "./worker-api.ts";

const MAX_LISTED = 200;
/** What a scrape may show without asking the chain again. */
const SCRAPE_MS = 30_000;

/**
 * The worker's own HTTP server: the operator's page, health, metrics and a read-only view of its tasks.
 *
 * SIDE EFFECTS: listens. Errors: SVC-1201, SVC-1202.
 */
export async function serveWorker(
  worker: WorkerHandle,
  settings: WorkerSettings,
  logger: Logger,
): Promise<HttpServer & { readonly url: string }> {
  const { metrics } = worker;
  const health = createHealth();
  health.register("scheduler", () => ({
    status: (worker.link?.state ?? "down") === "down" ? "DOWN" : "UP",
    details: { link: worker.link?.state ?? "down" },
  }));
  health.register("chain", () => {
    const alive = worker.pool.endpoints().filter((endpoint) => endpoint.health === "alive").length;
    return { status: alive > 0 ? "UP" : "DOWN", details: { aliveNodes: alive, block: Number(worker.pool.head().number) } };
  });

  const startedAt = new Date();
  // The link appears with the first connection; from then on it tells its changes.
  let linkState: "up" | "degraded" | "down" = "down";
  let linkSince = startedAt;
  let halted: string | undefined;
  const follow = (state: typeof linkState) => {
    if (state !== linkState) linkSince = new Date();
    linkState = state;
    feed.note("changed");
  };
  const stopped = ({ code }: CodedError) => {
    halted = code;
    feed.note("changed");
  };
  worker.joined.then(
    () => {
      follow(worker.link?.state ?? "down");
      worker.link?.onState(follow);
    },
    (thrown: unknown) => stopped(CodedError.from(thrown)),
  );
  worker.halted.then(stopped);

  const statusView = () => ({
    name: settings.name,
    version: VERSION,
    wallet: worker.address,
    startedAt: startedAt.toISOString(),
    link: linkState,
    linkSince: linkSince.toISOString(),
    halted: halted ?? null,
    doing: doingView(doingOf(worker)),
    slots: slotsOf(settings),
    slotsInUse: slotsInUse(worker.journal),
    block: worker.pool.head().number.toString(),
    nodes: worker.pool.endpoints().map((node) => ({
      url: node.url,
      health: node.health,
      height: node.height?.toString() ?? null,
      latencyMs: node.latencyMs ?? null,
      lastError: node.lastError ?? null,
      since: node.since.toISOString(),
    })),
  });
  const page = () => parsePage(statusView());
  const feed = new LiveFactsFeed((signal) => fromInside(worker, settings, page, { clock: systemClock, signal }));
  const host = new HostFacts(settings, worker.tee);
  const streams = new EventStreams(MAX_PAGES, () => feed.note("head"));
  const numbers = createWorkerMetrics(metrics);
  const unhook = [
    worker.onStatus((change) => {
      numbers.noteStatus(change);
      feed.note(isFinal(change.status) ? "settled" : "changed");
    }),
    worker.queue.onChange((record) => {
      numbers.noteTransaction(record);
      feed.note("changed");
    }),
    worker.pool.onHead(() => feed.note("head")),
    worker.operation.onChange(() => feed.note("changed")),
    worker.watchdog.onStall(() => feed.note("changed")),
    tellStalls(worker.watchdog, { metrics, health, loops: LOOPS }),
  ];
  const refreshNumbers = async () =>
    numbers.refresh({
      facts: await feed.current(SCRAPE_MS),
      page: page(),
      imageBytes: await host.imageBytes(),
      headAt: new Date(Number(worker.pool.head().timestamp) * 1_000),
      teeReady: worker.tee.ready,
      stuckTasks: worker.standing.stuck.length,
    });

  const server = await createHttpServer({
    name: "iexec-worker",
    version: VERSION,
    host: settings.host,
    port: settings.port,
    portSetting: "IEXEC_WORKER_PORT or --port",
    logger,
    metrics,
    health,
    without: ["/metrics"],
  });
  addPageRoutes(server.app, {
    host: settings.host,
    feed,
    streams,
    overview: (facts) => overviewOf(facts, settings, page(), host.view(facts.status.freeMib)),
  });
  server.app.get("/v1/status", async () => statusView());
  server.app.get("/v1/tasks", async () => worker.journal.list(MAX_LISTED).map(taskSummary));
  server.app.get<{ Params: { taskId: string } }>("/v1/tasks/:taskId", async ({ params }, reply) => {
    const taskId = taskIdOf(params.taskId);
    const replicate = taskId === undefined ? undefined : worker.journal.find(taskId);
    if (replicate === undefined)
      return reply.code(404).send({ code: "WRK-1304", message: "no such task", fix: "List the tasks at /v1/tasks." });
    return taskDetail(worker, replicate);
  });
  for (const path of ["/metrics", "/actuator/prometheus"])
    server.app.get(
      path,
      { schema: { summary: "Metrics for Prometheus; for a client that asks for JSON those of the Java worker" } },
      async (request, reply) => {
        if (path === "/metrics" && wantsJson(request.headers.accept)) return numbers.javaMetrics();
        await refreshNumbers();
        return reply.type(metrics.contentType).send(await metrics.text());
      },
    );
  server.app.get("/metrics/java", { schema: { summary: "Metrics in the shape of the Java worker" } }, async () => numbers.javaMetrics());
  const { url } = await server.listen();
  return {
    ...server,
    url,
    close: async (deadlineMs) => {
      for (const remove of unhook) remove();
      streams.close();
      feed.close();
      await server.close(deadlineMs);
    },
  };
}

function taskIdOf(text: string): Hex | undefined {
  const lower = text.toLowerCase();
  return /^0x[0-9a-f]{64}$/.test(lower) ? `0x${lower.slice(2)}` : undefined;
}

/** Prometheus asks for text; what asks for JSON knows the Java worker. */
const wantsJson = (accept = ""): boolean => accept.includes("application/json") && !accept.includes("text/plain");
