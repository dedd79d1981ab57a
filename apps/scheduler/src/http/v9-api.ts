import type { Hub, RpcPool } from "@iexec-ts/chain";
import { type Address, addressSchema, bytes32Schema, maxExecutionMs, parseDealParams, sameHex, TASK_STATUSES } from "@iexec-ts/poco";
import type { HttpApp, Metrics } from "@iexec-ts/service";
import { z } from "zod";
import type { Database } from "../store/database.ts";
import { type ReplicateView, viewCapacity, viewLogs, viewReplicates, viewTask, viewTaskCounts, viewTaskHistory } from "../store/views.ts";
import { challengeDocument, type LogAccess } from "./log-access.ts";

const taskParams = z.object({ id: bytes32Schema });
const replicateParams = z.object({ id: bytes32Schema, wallet: addressSchema });

/** Dates as Jackson writes them. @source wire.md 9.1.10 */
const javaDate = (iso: string): string => iso.replace("Z", "+00:00");

const tags = ["v9"];

/**
 * What the iExec SDK and dashboards of iexec-core 9 read: tasks, replicates, logs of a requester's own tasks, and the pool's numbers.
 * Statuses are the guide's; the SDK prints them as they are.
 *
 * SIDE EFFECTS: adds routes.
 * @source wire.md 1.5; services.md 5
 */
export function registerV9Api(
  app: HttpApp,
  deps: {
    readonly database: Database;
    readonly hub: Hub;
    readonly pool: RpcPool;
    readonly metrics: Metrics;
    readonly access: LogAccess;
    readonly chainId: number;
    readonly publicUrl: () => string;
  },
): void {
  const { database, hub, pool, metrics, access, chainId, publicUrl } = deps;

  const replicateModel = (taskId: string, replicate: ReplicateView) => {
    const self = `${publicUrl()}/tasks/${taskId}/replicates/${replicate.wallet}`;
    return {
      self,
      chainTaskId: taskId,
      walletAddress: replicate.wallet,
      currentStatus: replicate.status,
      statusUpdateList: replicate.history.map(({ status, at, cause }) => ({
        status,
        date: javaDate(at),
        ...(cause === undefined ? {} : { cause }),
      })),
      ...(replicate.resultLink === undefined ? {} : { resultLink: replicate.resultLink }),
      ...(replicate.callbackData === undefined ? {} : { chainCallbackData: replicate.callbackData }),
      ...(replicate.contributionHash === undefined ? {} : { contributionHash: replicate.contributionHash }),
      ...(replicate.hasLogs ? { appLogs: `${self}/logs` } : {}),
      ...(replicate.exitCode === undefined ? {} : { appExitCode: replicate.exitCode }),
    };
  };

  app.get(
    "/tasks/:id",
    { schema: { tags, summary: "One task, as iexec-core 9 shows it", params: taskParams } },
    async ({ params }, reply) => {
      const task = await viewTask(database, params.id);
      if (task === undefined) return reply.status(404).send();
      const [replicates, history, app] = await Promise.all([
        viewReplicates(database, params.id),
        viewTaskHistory(database, params.id),
        hub.app(addressSchema.parse(task.app)),
      ]);
      return {
        chainTaskId: task.taskId,
        replicates: replicates.map((replicate) => replicateModel(task.taskId, replicate)),
        maxExecutionTime: maxExecutionMs(BigInt(task.periodSeconds)),
        tag: task.tag,
        dappType: "DOCKER",
        dappName: app?.multiaddr ?? null,
        commandLine: parseDealParams(task.params).args ?? "",
        initializationBlockNumber: Number(task.initBlock ?? 0),
        currentStatus: task.status,
        trust: Number(task.trust),
        uploadingWorkerWalletAddress: task.uploader ?? null,
        consensus: task.consensus ?? null,
        contributionDeadline: javaDate(task.deadlines.contribution),
        revealDeadline: task.deadlines.reveal === undefined ? null : javaDate(task.deadlines.reveal),
        finalDeadline: javaDate(task.deadlines.final),
        resultLink: task.resultLink ?? null,
        chainCallbackData: task.callbackData ?? null,
        dateStatusList: history.map(({ at, status }) => ({ date: javaDate(at), status })),
      };
    },
  );

  app.get(
    "/tasks/:id/replicates/:wallet",
    { schema: { tags, summary: "One replicate, as iexec-core 9 shows it", params: replicateParams } },
    async ({ params }, reply) => {
      const [replicate] = await viewReplicates(database, params.id, params.wallet);
      return replicate === undefined ? reply.status(404).send() : replicateModel(params.id, replicate);
    },
  );

  app.get(
    "/tasks/logs/challenge",
    { schema: { tags, summary: "What to sign to read logs", querystring: z.object({ address: addressSchema }) } },
    async ({ query }) => challengeDocument(access.challenge(query.address), chainId),
  );

  /** 0 when the caller is the requester of the task's deal; else the code to answer. The order of the checks is the Java core's. */
  const refusal = async (id: `0x${string}`, header: string | undefined): Promise<number> => {
    if (header === undefined) return 400;
    const reader = access.readerOf(header);
    if (reader === undefined) return 401;
    const task = await viewTask(database, id);
    if (task === undefined || !sameHex(addressSchema.parse(task.requester), reader.claimed)) return 403;
    return (await reader.isProved()) ? 0 : 401;
  };
  const logsOf = async (id: `0x${string}`, wallet?: Address) =>
    (await viewLogs(database, id, wallet)).map(({ wallet: walletAddress, stdout, stderr }) => ({ walletAddress, stdout, stderr }));

  app.get(
    "/tasks/:id/logs",
    { schema: { tags, summary: "Logs of all replicates, for the requester", params: taskParams } },
    async ({ params, headers }, reply) => {
      const code = await refusal(params.id, headers.authorization);
      if (code !== 0) return reply.status(code).send();
      const computeLogsList = await logsOf(params.id);
      return computeLogsList.length === 0 ? reply.status(404).send() : { chainTaskId: params.id, computeLogsList };
    },
  );

  app.get(
    "/tasks/:id/replicates/:wallet/logs",
    { schema: { tags, summary: "Logs of one replicate, for the requester", params: replicateParams } },
    async ({ params, headers }, reply) => {
      const code = await refusal(params.id, headers.authorization);
      if (code !== 0) return reply.status(code).send();
      const [logs] = await logsOf(params.id, params.wallet);
      return logs ?? reply.status(404).send();
    },
  );

  const javaMetrics = async () => {
    const [counts, capacity] = await Promise.all([viewTaskCounts(database), viewCapacity(database)]);
    const byStatus = new Map(counts.map(({ status, count }) => [status, count]));
    const head = pool.head();
    return {
      aliveWorkers: capacity.alive,
      aliveComputingCpu: capacity.busy_cpu,
      aliveRegisteredCpu: capacity.cpu,
      aliveComputingGpu: capacity.busy_gpu,
      aliveRegisteredGpu: capacity.gpu,
      currentTaskStatusesCount: Object.fromEntries(TASK_STATUSES.map((status) => [status, byStatus.get(status) ?? 0])),
      latestBlockMetric: { blockNumber: Number(head.number), blockHash: head.hash, blockTimestamp: Number(head.timestamp) },
      dealEventsCount: capacity.deals,
      dealsCount: capacity.deals,
      replayDealsCount: 0,
      latestBlockNumberWithDeal: capacity.last_deal_block,
      aliveAvailableCpu: Math.max(0, capacity.cpu - capacity.busy_cpu),
      aliveTotalCpu: capacity.cpu,
      aliveAvailableGpu: Math.max(0, capacity.gpu - capacity.busy_gpu),
      aliveTotalGpu: capacity.gpu,
    };
  };

  app.get(
    "/metrics",
    { schema: { tags, summary: "For Prometheus; with Accept: application/json as iexec-core 9" } },
    async ({ headers }, reply) => {
      if ((headers.accept ?? "").includes("application/json")) return await javaMetrics();
      return await reply.type(metrics.contentType).send(await metrics.text());
    },
  );
}
