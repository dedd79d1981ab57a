import type { Hub, RpcPool } from "@iexec-ts/chain";
import { bytes32Schema, type ChainTask, isTaskStatus } from "@iexec-ts/poco";
import type { HttpApp, Watchdog } from "@iexec-ts/service";
import { z } from "zod";
import type { Database } from "../store/database.ts";
import {
  viewCalls,
  viewCapacity,
  viewDeals,
  viewReplicates,
  viewTask,
  viewTaskCounts,
  viewTaskHistory,
  viewTasks,
  viewWorkers,
} from "../store/views.ts";

const limit = z.coerce.number().int().min(1).max(500).default(100);
const before = z.iso
  .datetime()
  .transform((text) => new Date(text))
  .optional();
const taskParams = z.object({ id: bytes32Schema });

const decimal = (_: string, value: unknown): unknown => (typeof value === "bigint" ? value.toString() : value);
const chainView = (task: ChainTask | undefined): unknown => (task === undefined ? null : JSON.parse(JSON.stringify(task, decimal)));

/**
 * What the console and tools read. Everything in it is public: it is on the chain, or says how the pool is doing.
 *
 * SIDE EFFECTS: adds routes.
 */
export function registerReadApi(
  app: HttpApp,
  deps: {
    readonly database: Database;
    readonly hub: Hub;
    readonly pool: RpcPool;
    readonly watchdog: Watchdog;
    readonly about: unknown;
  },
): void {
  const { database, hub, pool, watchdog, about } = deps;
  const tags = ["pool"];

  app.get("/v1/pool", { schema: { tags, summary: "The workerpool, its chain and its load" } }, async () => {
    const [counts, capacity] = await Promise.all([viewTaskCounts(database), viewCapacity(database)]);
    const head = pool.head();
    return {
      ...Object(about),
      head: { number: head.number.toString(), timestamp: new Date(Number(head.timestamp) * 1_000).toISOString() },
      tasks: Object.fromEntries(counts.map(({ status, count }) => [status, count])),
      workers: { alive: capacity.alive, cpu: capacity.cpu, gpu: capacity.gpu, busyCpu: capacity.busy_cpu, busyGpu: capacity.busy_gpu },
      // Of the process that answers. Task ids in it are public, as everything here.
      stalls: watchdog.stalls().map(({ loop, of, since, restarts, mendedAt }) => ({
        loop,
        of,
        since: since.toISOString(),
        restarts,
        mendedAt: mendedAt?.toISOString(),
      })),
    };
  });

  const taskQuery = z.object({ limit, before, status: z.string().refine(isTaskStatus).optional(), deal: bytes32Schema.optional() });
  app.get("/v1/tasks", { schema: { tags, summary: "Tasks, newest first", querystring: taskQuery } }, async ({ query }) => ({
    tasks: await viewTasks(database, { limit: query.limit, before: query.before, status: query.status, dealId: query.deal }),
  }));

  app.get(
    "/v1/tasks/:id",
    { schema: { tags, summary: "One task with its replicates, their histories and the chain's view", params: taskParams } },
    async ({ params }, reply) => {
      const task = await viewTask(database, params.id);
      if (task === undefined) return reply.status(404).send({ code: "SVC-1205", message: "No such task", fix: "Check the task id." });
      const { number } = pool.head();
      const [replicates, history, calls, onChain] = await Promise.all([
        viewReplicates(database, params.id),
        viewTaskHistory(database, params.id),
        viewCalls(database, params.id),
        hub.task(params.id, number),
      ]);
      return { ...task, history, replicates, transactions: calls, chain: chainView(onChain) };
    },
  );

  app.get(
    "/v1/workers",
    { schema: { tags, summary: "Workers, those that ping first", querystring: z.object({ limit }) } },
    async ({ query }) => ({
      workers: await viewWorkers(database, query.limit),
    }),
  );

  app.get(
    "/v1/deals",
    { schema: { tags, summary: "Deals, newest first", querystring: z.object({ limit, before }) } },
    async ({ query }) => ({
      deals: await viewDeals(database, query.limit, query.before),
    }),
  );
}
