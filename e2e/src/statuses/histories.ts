import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { isReplicateStatus, type ReplicateStatus, replayHistory, type TaskId } from "@iexec-ts/poco";
import { z } from "zod";
import type { WorkerProcess } from "../rig/worker-process.ts";

const status = z.custom<ReplicateStatus>(isReplicateStatus, "not a replicate status");
const step = z.object({
  status,
  cause: z.string().nullable().optional(),
  setBy: z.enum(["worker", "scheduler"]),
  late: z.boolean(),
  /** Position in the worker's journal. */
  seq: z.number().nullable().optional(),
});
const recordedHistory = z.object({
  /** What was played when it was recorded. */
  tale: z.string(),
  side: z.enum(["worker", "workerpool"]),
  taskId: z.string(),
  wallet: z.string(),
  /** The state its owner kept beside the history. */
  status,
  progress: status.optional(),
  history: z.array(step),
});

/** The whole life of one replicate, as one side wrote it down. */
export type RecordedHistory = z.output<typeof recordedHistory>;

const poolAnswer = z.object({ replicates: z.array(z.object({ wallet: z.string(), status, history: z.array(step) })) });

/** What the scheduler recorded of every replicate of a task. */
export async function poolHistories(schedulerUrl: string, taskId: TaskId, tale: string): Promise<readonly RecordedHistory[]> {
  const response = await fetch(`${schedulerUrl}/v1/tasks/${taskId}`);
  const { replicates } = poolAnswer.parse(await response.json());
  return replicates.map((replicate) => ({ tale, side: "workerpool", taskId, ...replicate }));
}

/** What a worker recorded of a task, if it had it. */
export function journalHistories(worker: WorkerProcess, taskId: TaskId, tale: string): readonly RecordedHistory[] {
  const journal = worker.journal();
  const replicate = journal?.replicates.find((one) => one.taskId === taskId);
  if (journal === undefined || replicate === undefined) return [];
  const history = journal.history(taskId).map(({ status: name, cause = null, seq }) => ({
    status: name,
    cause,
    seq,
    setBy: seq === 0 ? ("scheduler" as const) : ("worker" as const),
    late: false,
  }));
  return [{ tale, side: "worker", taskId, wallet: worker.address, status: replicate.status, progress: replicate.progress, history }];
}

const say = ({ tale, side, wallet, taskId }: RecordedHistory): string => `${tale}: ${side} on ${taskId} by ${wallet}`;

/**
 * Plays histories again and compares the two sides of each replicate: what the workerpool says the worker said is what the worker's journal
 * has at that place.
 *
 * @returns what is wrong; nothing when all is well
 */
export function faultsOf(histories: readonly RecordedHistory[]): readonly string[] {
  const faults: string[] = [];
  for (const one of histories) {
    const replayed = replayHistory(one.history, one.side);
    if (!replayed.legal) faults.push(`${say(one)}: ${replayed.from ?? "nothing"} > ${replayed.to} at ${replayed.index}`);
    else if (replayed.status !== one.status) faults.push(`${say(one)}: replayed to ${replayed.status}, recorded as ${one.status}`);
    else if (one.progress !== undefined && replayed.progress !== one.progress) {
      faults.push(`${say(one)}: replayed up to ${replayed.progress}, recorded as ${one.progress}`);
    }
  }
  for (const pool of histories.filter(({ side }) => side === "workerpool")) {
    const journal = histories.find(({ side, taskId, wallet }) => side === "worker" && taskId === pool.taskId && wallet === pool.wallet);
    if (journal === undefined) continue;
    for (const { status: name, setBy, seq } of pool.history) {
      if (setBy !== "worker" || typeof seq !== "number") continue;
      const own = journal.history[seq]?.status;
      if (own !== name) faults.push(`${say(pool)}: ${name} is ${own ?? "nothing"} in the journal at ${seq}`);
    }
    if (!pool.history.some(({ status: name }) => name === journal.status)) faults.push(`${say(pool)}: never heard of ${journal.status}`);
  }
  return faults;
}

const isMissing = (thrown: unknown): boolean => thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";

/**
 * One JSON object per line. What an earlier run recorded of other tales stays in the file.
 *
 * SIDE EFFECTS: writes the file.
 */
export async function writeHistories(path: string, histories: readonly RecordedHistory[]): Promise<void> {
  const told = new Set(histories.map(({ tale }) => tale));
  const before = await readHistories(path).catch((thrown: unknown) => {
    if (isMissing(thrown)) return [];
    throw thrown;
  });
  const all = [...before.filter(({ tale }) => !told.has(tale)), ...histories];
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, all.map((one) => `${JSON.stringify(one)}\n`).join(""));
}

export async function readHistories(path: string): Promise<readonly RecordedHistory[]> {
  const lines = (await readFile(path, "utf8")).split("\n").filter((line) => line !== "");
  return lines.map((line) => recordedHistory.parse(JSON.parse(line)));
}
