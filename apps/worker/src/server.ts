import { type ReplicateStatus, statusRow } from "@iexec-ts/poco";
import { CodedError, createHealth, createHttpServer, createMetrics, type HttpServer, type Logger } from "@iexec-ts/service";
import type { WorkerSettings } from "./config.ts";
import { slotsOf } from "./host-check.ts";
import type { Replicate, StatusChange } from "./replicate/replicate.ts";
import { slotsInUse } from "./session/demand.ts";
import { VERSION } from "./version.ts";
import type { WorkerHandle } from "./worker.ts";

const MAX_LISTED = 200;

/** What a reader may see of a replicate; amounts as decimal strings of nRLC. */
const view = (replicate: Replicate) => ({
  taskId: replicate.taskId,
  dealId: replicate.dealId,
  taskIndex: replicate.taskIndex,
  status: replicate.status,
  meaning: statusRow(replicate.status).meaning,
  advice: statusRow(replicate.status).advice,
  stake: replicate.stake.toString(),
  since: replicate.updatedAt.toISOString(),
  finalDeadline: new Date(Number(replicate.finalDeadline) * 1_000).toISOString(),
  digest: replicate.sealed?.digest ?? null,
  resultLink: replicate.resultLink ?? null,
});

const changeView = (change: StatusChange) => ({
  seq: change.seq,
  status: change.status,
  cause: change.cause ?? null,
  at: change.at.toISOString(),
});

/**
 * The worker's own HTTP server: health, metrics and a read-only view of its tasks.
 *
 * SIDE EFFECTS: listens. Errors: SVC-1201, SVC-1202.
 */
export async function serveWorker(
  worker: WorkerHandle,
  settings: WorkerSettings,
  logger: Logger,
): Promise<HttpServer & { readonly url: string }> {
  const metrics = createMetrics("iexec_worker_", { withProcess: true });
  const statuses = metrics.counter<"status">({ name: "replicate_statuses_total", help: "Statuses recorded, by name.", labels: ["status"] });
  const unhook = worker.onStatus((change) => statuses.increment({ status: change.status satisfies ReplicateStatus }));
  metrics.gauge({ name: "tasks", help: "Tasks with something left to do.", read: () => worker.journal.unfinished().length });
  metrics.gauge({ name: "slots_in_use", help: "Tasks that hold a computing slot.", read: () => slotsInUse(worker.journal) });

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
  };
  const stopped = ({ code }: CodedError) => {
    halted = code;
  };
  worker.joined.then(
    () => {
      follow(worker.link?.state ?? "down");
      worker.link?.onState(follow);
    },
    (thrown: unknown) => stopped(CodedError.from(thrown)),
  );
  worker.halted.then(stopped);

  const server = await createHttpServer({
    name: "iexec-worker",
    version: VERSION,
    host: settings.host,
    port: settings.port,
    portSetting: "IEXEC_WORKER_PORT or --port",
    logger,
    metrics,
    health,
  });
  server.app.get("/v1/status", async () => ({
    name: settings.name,
    version: VERSION,
    wallet: worker.address,
    startedAt: startedAt.toISOString(),
    link: linkState,
    linkSince: linkSince.toISOString(),
    halted: halted ?? null,
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
  }));
  server.app.get("/v1/tasks", async () => worker.journal.list(MAX_LISTED).map(view));
  server.app.get<{ Params: { taskId: string } }>("/v1/tasks/:taskId", async ({ params }, reply) => {
    const replicate = worker.journal.list(MAX_LISTED).find((r) => r.taskId === params.taskId.toLowerCase());
    if (replicate === undefined)
      return reply.code(404).send({ code: "WRK-1304", message: "no such task", fix: "List the tasks at /v1/tasks." });
    return { ...view(replicate), history: worker.journal.history(replicate.taskId).map(changeView) };
  });
  const { url } = await server.listen();
  return {
    ...server,
    url,
    close: async (deadlineMs) => {
      unhook();
      await server.close(deadlineMs);
    },
  };
}
