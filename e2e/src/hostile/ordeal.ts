import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parseResultLink, type ReplicateStatus, type TaskId } from "@iexec-ts/poco";
import { LABELS } from "@iexec-ts/sandbox";
import type { StatusChange } from "@iexec-ts/worker";
import { hexToString } from "viem";
import { fileInZip } from "../wrong/zip.ts";
import { freeBytes, markedFiles, namesBelow, processesOf } from "./host.ts";
import { eventually, type Lane } from "./lane.ts";
import { takePulse } from "./pulse.ts";

/** How one hostile task ended. */
export interface End {
  readonly taskId: TaskId;
  readonly statuses: readonly ReplicateStatus[];
  readonly last: ReplicateStatus;
  /** Of the first status that says what went wrong. */
  readonly cause: string | undefined;
  /** The coded reasons recorded with it. */
  readonly reason: string;
  readonly exitCode: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
  /** Of the sealed output. */
  readonly digest: string | undefined;
  /** Instant at which it was to be killed, in milliseconds. */
  readonly computeDeadline: number | undefined;
  /** The uploaded result of a completed task. */
  readonly zip: Buffer | undefined;
}

/** One hostile task. */
export interface Variant {
  readonly name: string;
  buy(lane: Lane): Promise<TaskId>;
  /** Says in a few words what was seen; throws when it is not as promised. */
  check(end: End, lane: Lane): Promise<string> | string;
}

export interface HostileCase {
  readonly id: string;
  readonly title: string;
  readonly short?: boolean;
  /** Afterwards the whole disk is searched for files of this and all earlier cases, not only its upper folders. */
  readonly searchDisk?: boolean;
  variants(lane: Lane): Promise<readonly Variant[]> | readonly Variant[];
  /** Runs beside the tasks; what it returns is added to the report. */
  beside?(lane: Lane, tasks: readonly TaskId[], signal: AbortSignal): Promise<string>;
}

/** Longest the page may take while hostile apps run. @source issue: "worker still answering within 1 s" */
const PAGE_MS = 1_000;
/** Most the host's free disk may shrink: output, logs and temporary files of the tasks that run at once, and what other programs write. */
const DISK_BYTES = 4 * 1_024 ** 3;
/** Folders of the network in which its own services write. */
const SERVICES = ["logs", "state", "result-proxy", "registry", "wallets"];
const NEIGHBOUR = "say neighbour started; sleep 2; say neighbour ended; ok";
const NEXT = "say next; ok";
const FAILURES: readonly ReplicateStatus[] = ["COMPUTE_FAILED", "DATA_DOWNLOAD_FAILED", "APP_DOWNLOAD_FAILED", "CONTRIBUTE_FAILED"];

/** Waits until the worker has put the task away, and reads what it recorded. */
async function endOf({ rig, worker }: Lane, taskId: TaskId, signal: AbortSignal): Promise<End> {
  const { replicate, history } = await rig.until(
    `the end of ${taskId} (${worker.history(taskId).at(-1)?.status})`,
    () => {
      const journal = worker.journal();
      const found = journal?.replicates.find((known) => known.taskId === taskId);
      return found?.closedAt === undefined ? undefined : { replicate: found, history: journal?.history(taskId) ?? [] };
    },
    signal,
    250,
  );
  const bad = history.find(({ status }) => FAILURES.includes(status));
  const details = history.findLast((change) => change.details?.exitCode !== undefined)?.details;
  const last = history.at(-1)?.status;
  if (last === undefined) throw new Error("no history");
  if (bad !== undefined) await requireTold(rig, taskId, bad, signal);
  return {
    taskId,
    statuses: history.map(({ status }) => status),
    last,
    cause: bad?.cause,
    reason: bad?.details?.errorMessage ?? "",
    exitCode: details?.exitCode,
    stdout: details?.computeLogs?.stdout ?? "",
    stderr: details?.computeLogs?.stderr ?? "",
    digest: replicate.sealed?.digest,
    computeDeadline: replicate.computeDeadline?.getTime(),
    zip: last === "COMPLETED" ? await resultOf(rig, taskId, signal) : undefined,
  };
}

/** The workerpool knows the same status with the same cause. */
async function requireTold(rig: Lane["rig"], taskId: TaskId, bad: StatusChange, signal: AbortSignal): Promise<void> {
  const told = await rig.untilStatus(taskId, bad.status, signal);
  const cause = told.history.find(({ status }) => status === bad.status)?.cause;
  if (cause !== (bad.cause ?? null)) throw new Error(`the workerpool recorded ${bad.status} with ${cause}, the worker with ${bad.cause}`);
}

async function resultOf(rig: Lane["rig"], taskId: TaskId, signal: AbortSignal): Promise<Buffer> {
  const task = await rig.network.hub.task(taskId);
  const link = task === undefined ? undefined : parseResultLink(hexToString(task.results));
  if (link?.storage !== "ipfs") throw new Error("no IPFS link on chain");
  const answer = await fetch(`${rig.network.gatewayUrl}${link.location}`, { signal, headers: { accept: "application/zip" } });
  return Buffer.from(await answer.arrayBuffer());
}

async function nothingLeft({ docker, containers }: Lane, tasks: readonly TaskId[]): Promise<void> {
  for (const taskId of tasks) {
    const filters = { label: [`${LABELS.task}=${taskId}`] };
    const containers = await docker.listContainers({ all: true, filters });
    if (containers.length > 0) throw new Error(`a container of ${taskId} is left`);
    if ((await docker.listNetworks({ filters })).length > 0) throw new Error(`a network of ${taskId} is left`);
  }
  let left: readonly string[] = [];
  await eventually("no process of these containers", async () => {
    left = await processesOf(containers);
    return left.length === 0;
  }).catch(() => {
    throw new Error(`processes left: ${left.join("; ")}`);
  });
}

/** Besides command lines and containers, which are looked at all the time: the page, the log and the journal. */
async function secretsKept({ watch, worker, pageUrl }: Lane, tasks: readonly TaskId[]): Promise<void> {
  for (const path of ["/", "/v1/status", "/metrics", ...tasks.map((taskId) => `/v1/tasks/${taskId}`)])
    watch.check(`the page ${path}`, await fetch(`${pageUrl}${path}`).then((answer) => answer.text()));
  watch.check("the log", await readFile(worker.logPath));
  await watch.checkFolder(dirname(worker.journalPath));
  if (watch.findings.length > 0) throw new Error(`secrets found: ${watch.findings.join("; ")}`);
}

/** Lowest free space seen until it is stopped. */
function watchDisk(path: string): { stop(): Promise<number> } {
  let lowest = Number.POSITIVE_INFINITY;
  let over = false;
  const watching = (async () => {
    while (!over) {
      lowest = Math.min(lowest, await freeBytes(path));
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  return {
    async stop() {
      over = true;
      await watching;
      return lowest;
    },
  };
}

/**
 * Runs the tasks of one case beside a harmless task of somebody else, and asserts for each that it was contained; then that the host, the
 * neighbour and the worker are as they were, and that the worker does its next task.
 */
export async function undergo(lane: Lane, hostile: HostileCase, signal: AbortSignal): Promise<string> {
  const { rig, worker, canary, tasksDir } = lane;
  const { dir } = rig.network;
  const variants = await hostile.variants(lane);
  const before = { names: await namesBelow(dir, SERVICES), free: await freeBytes(dir), pid: worker.pid };
  const pulse = takePulse(`${lane.pageUrl}/v1/status`, lane.nothing.url);
  const disk = watchDisk(dir);
  const seen: string[] = [];
  try {
    const neighbour = await lane.buyScript(NEIGHBOUR);
    await rig.until(
      "the neighbour computing",
      () => worker.history(neighbour).some(({ status }) => status === "COMPUTING") || undefined,
      signal,
    );
    const tasks: TaskId[] = [];
    for (const variant of variants) tasks.push(await variant.buy(lane));
    const beside = hostile.beside?.(lane, tasks, signal);
    beside?.catch(() => undefined);
    const faults: string[] = [];
    for (const [at, variant] of variants.entries()) {
      const taskId = tasks[at];
      if (taskId === undefined) continue;
      const end = await endOf(lane, taskId, signal);
      try {
        seen.push(`${variant.name}: ${await variant.check(end, lane)}`);
      } catch (thrown) {
        const why = thrown instanceof Error ? thrown.message : String(thrown);
        faults.push(`${variant.name}: ${why} [${end.last} ${end.cause ?? ""} ${end.reason}]`);
      }
    }
    if (faults.length > 0) throw new Error(faults.join(" | "));
    if (beside !== undefined) seen.push(await beside);

    const quiet = await endOf(lane, neighbour, signal);
    const told = textOf(quiet, "result.txt");
    if (told !== "neighbour started\nneighbour ended\n") throw new Error(`the neighbour's result is ${JSON.stringify(told)}`);
    const next = await endOf(lane, await lane.buyScript(NEXT), signal);
    if (textOf(next, "result.txt") !== "next\n") throw new Error("the next task was not done");
    if (worker.pid !== before.pid || !worker.running) throw new Error("the worker is another process than before");

    await secretsKept(lane, [...tasks, neighbour]);
    await nothingLeft(lane, [...tasks, neighbour, next.taskId]);
    const fault = await canary.fault();
    if (fault !== undefined) throw new Error(fault);
    const marked = await markedFiles(hostile.searchDisk === true ? undefined : 3);
    if (marked.length > 0) throw new Error(`files of the app on the host: ${marked.join(", ")}`);
    const names = await namesBelow(dir, SERVICES);
    const added = names.filter((name) => !before.names.includes(name));
    if (added.length > 0) throw new Error(`new files outside the task's folder: ${added.join(", ")} (tasks are kept in ${tasksDir})`);
  } finally {
    const [{ slowestMs, hostMs, answers, failures }, lowest] = await Promise.all([pulse.stop(), disk.stop()]);
    seen.push(
      `page answered ${answers} times in at most ${Math.round(slowestMs)} ms (a server that does nothing: ${Math.round(hostMs)} ms)`,
    );
    // Whatever else went wrong is said first.
    if (failures > 0 || slowestMs > PAGE_MS + hostMs)
      seen.push(`PAGE: ${failures} failures, slowest ${Math.round(slowestMs)} ms, a server that does nothing ${Math.round(hostMs)} ms`);
    if (before.free - lowest > DISK_BYTES) seen.push(`DISK: ${before.free - lowest} bytes fewer`);
  }
  const alarm = seen.find((line) => line.startsWith("PAGE:") || line.startsWith("DISK:"));
  if (alarm !== undefined) throw new Error(alarm);
  return seen.join("; ");
}

/** Text of one file of the result. */
export function textOf({ zip, statuses, reason }: End, name: string): string {
  if (zip === undefined) throw new Error(`no result: ${statuses.join(" ")} ${reason}`);
  return fileInZip(zip, name);
}
