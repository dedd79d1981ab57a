import { join } from "node:path";
import { REPLICATE_STATUSES, type ReplicateStatus, statusRow } from "@iexec-ts/poco";
import { openScope } from "@iexec-ts/service";
import type { Scenario, ScenarioSet } from "../scenario.ts";
import { faultsOf, journalHistories, poolHistories, type RecordedHistory, writeHistories } from "./histories.ts";
import type { Tale } from "./tale.ts";
import { TROUBLE_TALES } from "./tales-trouble.ts";
import { WORK_TALES } from "./tales-work.ts";
import { HISTORIES, openWorld, type World } from "./world.ts";

const TALES: readonly Tale[] = [...WORK_TALES, ...TROUBLE_TALES];
const TALE_MS = 300_000;
const SHORT: ReadonlySet<ReplicateStatus> = new Set(["CREATED", "COMPUTED", "CONTRIBUTED", "COMPLETED"]);

/** The world, and what was recorded in it: every tale is told once, for all the statuses it shows. */
class Recorder {
  readonly world: World;
  readonly #signal: AbortSignal;
  readonly #told = new Map<Tale, Promise<readonly RecordedHistory[]>>();

  constructor(world: World, signal: AbortSignal) {
    this.world = world;
    this.#signal = signal;
  }

  histories(tale: Tale): Promise<readonly RecordedHistory[]> {
    const known = this.#told.get(tale);
    if (known !== undefined) return known;
    const told = this.#tell(tale);
    told.catch(() => undefined);
    this.#told.set(tale, told);
    return told;
  }

  /** SIDE EFFECTS: keeps the histories of the tales that were told, for `e2e replay`. */
  async close(): Promise<void> {
    const told = await Promise.allSettled(this.#told.values());
    const all = told.flatMap((one) => (one.status === "fulfilled" ? one.value : []));
    await this.world.close();
    if (all.length > 0) await writeHistories(join(HISTORIES, "statuses.jsonl"), all);
  }

  async #tell(tale: Tale): Promise<readonly RecordedHistory[]> {
    using scope = openScope([this.#signal], { ms: TALE_MS });
    const limit = scope.signal;
    try {
      const tasks = await tale.tell(this.world, limit);
      const workers = await this.world.settle(tasks, limit);
      const { schedulerUrl } = this.world.rig.network;
      const pool = await Promise.all(tasks.map((taskId) => poolHistories(schedulerUrl, taskId, tale.name)));
      return [...pool.flat(), ...tasks.flatMap((taskId) => workers.flatMap((worker) => journalHistories(worker, taskId, tale.name)))];
    } catch (thrown) {
      await this.world.settle([], limit);
      throw thrown;
    }
  }
}

/** The status is in the workerpool's history of some replicate and, where the worker sets it, in that worker's journal. */
function findIn(histories: readonly RecordedHistory[], wanted: ReplicateStatus, tale: Tale): string {
  const has = ({ history }: RecordedHistory) => history.some(({ status }) => status === wanted);
  const pool = histories.find((one) => one.side === "workerpool" && has(one));
  if (pool === undefined) throw new Error(`${tale.name}: the workerpool recorded no ${wanted}`);
  const byWorker = pool.history.some(({ status, setBy }) => status === wanted && setBy === "worker");
  if (byWorker && statusRow(wanted).setBy === "scheduler") throw new Error(`${tale.name}: the worker set ${wanted}`);
  if (!byWorker && statusRow(wanted).setBy === "worker") throw new Error(`${tale.name}: not the worker set ${wanted}`);
  const journal = histories.find(({ side, taskId, wallet }) => side === "worker" && taskId === pool.taskId && wallet === pool.wallet);
  if (byWorker && (journal === undefined || !has(journal))) throw new Error(`${tale.name}: the journal has no ${wanted}`);
  return `${tale.name} (${tale.story}): ${pool.history.map(({ status, late }) => (late ? `(${status})` : status)).join(" ")}`;
}

const scenarioOf = (status: ReplicateStatus): Scenario<Recorder> => ({
  id: status,
  short: SHORT.has(status),
  // A tale has its own limit; this one only guards the rest.
  timeoutMs: TALE_MS + 60_000,
  async run(recorder) {
    const tale = TALES.find(({ shows }) => shows.includes(status));
    if (tale === undefined) throw new Error(`no tale shows ${status}`);
    const histories = await recorder.histories(tale);
    const faults = faultsOf(histories);
    if (faults.length > 0) throw new Error(faults.join("; "));
    return findIn(histories, status, tale);
  },
});

/**
 * Each of the 36 statuses really recorded for some replicate, by a workerpool and by its worker. Every history of a tale is also replayed
 * through the table of statuses, and its two sides are compared.
 */
export const statusesSet: ScenarioSet<Recorder> = {
  name: "statuses",
  summary: "each of the 36 statuses, really recorded",
  scenarios: REPLICATE_STATUSES.map(scenarioOf),
  async open(signal) {
    const recorder = new Recorder(await openWorld(signal), signal);
    return { context: recorder, close: () => recorder.close() };
  },
};
