import { cp, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Random, seededRandom } from "@iexec-ts/service";
import type { WorkerProcess } from "../rig/worker-process.ts";
import { judge, openReplicates } from "./judge.ts";
import { type Kill, killEachMinute } from "./killer.ts";
import { Ledger } from "./ledger.ts";
import { leftOfAll, leftOfTasks } from "./leftovers.ts";
import { mix } from "./mix.ts";
import { reportOf, type SoakReport } from "./report.ts";
import { idleIn } from "./verdict.ts";
import type { Watched } from "./watched.ts";
import { openWorld, type World } from "./world.ts";

export interface SoakOptions {
  /** How long tasks are bought. */
  readonly minutes: number;
  readonly workers: number;
  /** SIGKILL of a random process each minute. */
  readonly kill: boolean;
  readonly seed: number;
  /** An empty folder that is the TMPDIR of this process, and so of all it starts. */
  readonly tmp: string;
  /** Where the logs go. */
  readonly logsTo: string;
}

export interface SoakDeps {
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}

/** What keeps each worker busy while the next lot is bought, which takes more than a block. */
const BACKLOG_PER_WORKER = 4;
const SAMPLE_MS = 2_000;
const PROGRESS_MS = 30_000;
const LOOK_MS = 250;
/** The longest time in which no task ends. A killed worker is missed after a minute, an upload after two. */
const BOUND_MS = { plain: 240_000, kill: 480_000 };

/** State folders of the workers, at one moment. */
export interface StateSize {
  readonly bytes: number;
  readonly replicates: number;
}

async function folderBytes(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sizes = await Promise.all(
    files.map((path) =>
      stat(path)
        .then(({ size }) => size)
        .catch(() => 0),
    ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function stateOf(workers: readonly Watched<WorkerProcess>[]): Promise<StateSize> {
  const bytes = await Promise.all(workers.map(({ process }) => folderBytes(process.env.IEXEC_WORKER_STATE_DIR ?? "")));
  return {
    bytes: bytes.reduce((sum, size) => sum + size, 0),
    replicates: workers.reduce((sum, { process }) => sum + (process.journal()?.replicates.length ?? 0), 0),
  };
}

/** Does `work` again and again until the signal; one that fails is followed by the next. */
async function again(everyMs: number, work: () => Promise<void>, until: AbortSignal): Promise<void> {
  while (!until.aborted) {
    await work();
    await delay(everyMs, undefined, { signal: until }).catch(() => undefined);
  }
}

/** Buys tasks until `until`, at the pace of the workers. @returns the state of the workers at half time */
async function trade(world: World, ledger: Ledger, options: SoakOptions, random: Random, signal: AbortSignal): Promise<StateSize> {
  const lots = mix(random);
  const began = performance.now();
  const limit = options.minutes * 60_000;
  const most = options.workers * BACKLOG_PER_WORKER;
  let half: StateSize | undefined;
  for (;;) {
    signal.throwIfAborted();
    const spent = performance.now() - began;
    if (half === undefined && spent > limit / 2) half = await stateOf(world.workers);
    if (spent > limit) return half ?? { bytes: 0, replicates: 0 };
    await ledger.follow();
    if (ledger.backlog() < most) await world.buy(lots.next().value, ledger);
    else await delay(LOOK_MS, undefined, { signal });
  }
}

function progress(world: World, ledger: Ledger, began: number): string {
  const seconds = Math.round((performance.now() - began) / 1_000);
  const now = world.watched.map(({ name, samples }) => {
    const last = samples.at(-1);
    return `${name} ${last === undefined ? "down" : `${Math.round(last.rssMib)} MiB ${last.fds} fds`}`;
  });
  return `${seconds} s: ${ledger.tasks.length} tasks bought, ${ledger.over} over, ${ledger.backlog()} to do; ${now.join(", ")}`;
}

/**
 * Runs a network under a mixed load, and says what became of each task, by the chain, and what the processes took of the machine.
 *
 * Errors: those of the network; the signal's reason.
 * SIDE EFFECTS: a network with processes, containers and files, all gone afterwards but the logs in `logsTo`.
 */
export async function soak(options: SoakOptions, { say, signal }: SoakDeps): Promise<SoakReport> {
  say(`seed ${options.seed}; ${options.workers} workers, ${options.minutes} minutes${options.kill ? ", a SIGKILL each minute" : ""}`);
  const world = await openWorld(options, signal);
  const over = new AbortController();
  const stopAll = (): void => over.abort();
  signal.addEventListener("abort", stopAll, { once: true });
  const trading = new AbortController();
  const endTrade = (): void => trading.abort();
  over.signal.addEventListener("abort", endTrade, { once: true });
  const background: Promise<unknown>[] = [];
  try {
    const began = performance.now();
    const ledger = await Ledger.open(world.rig);
    say("the network is up; buying begins");
    background.push(
      again(SAMPLE_MS, async () => void (await Promise.all(world.watched.map((one) => one.sample(ledger.over)))), trading.signal),
      again(SAMPLE_MS * 5, async () => void (await Promise.all(world.watched.map((one) => one.readMetrics()))), over.signal),
      again(PROGRESS_MS, async () => say(progress(world, ledger, began)), over.signal),
    );
    const random = seededRandom(options.seed);
    const killing: Promise<readonly Kill[]> = options.kill
      ? killEachMinute(world.watched, { random: seededRandom(options.seed + 1), say, over: trading.signal, stop: signal })
      : Promise.resolve([]);
    // Awaited below; until then its end by the signal is nobody's surprise.
    killing.catch(() => undefined);
    background.push(killing);
    const beganMs = Date.now();
    const half = await trade(world, ledger, options, random, signal);
    await ledger.follow();
    const addresses = world.workers.map(({ process }) => process.address);
    const idleWorkers = idleIn(
      { beganMs, endedMs: Date.now() },
      world.workers.map(({ name, process }) => ({ name, address: process.address })),
      ledger.lastContributions(),
    );
    const end = await stateOf(world.workers);
    const minutes = (performance.now() - began) / 60_000;
    const overInTime = ledger.over;
    trading.abort();
    const kills = await killing;
    const boundMs = options.kill ? BOUND_MS.kill : BOUND_MS.plain;
    say(`nothing more is bought; waiting for the last of ${ledger.tasks.length} tasks, until none has ended for ${boundMs / 1_000} s`);
    const judgement = await judge(world.rig, ledger, world.workers, boundMs, signal);
    await Promise.all(world.watched.map((one) => one.readMetrics()));
    // What is stuck had its time.
    const stillOpen = await openReplicates(world.workers, judgement.stuck.length === 0 ? boundMs : 0, signal);
    await Promise.all(world.watched.map((one) => one.readMetrics()));
    const ofTasks = await leftOfTasks({ dir: world.rig.network.dir, workers: addresses, proxyKilledAtMs: killedAt(kills) });
    over.abort();
    await Promise.allSettled(background);
    const crashes = world.watched.flatMap((one) => one.crashes);
    await keepLogs(world, options, say);
    await world.close();
    const ofAll = await leftOfAll({ tmp: options.tmp, workers: addresses, registry: world.registry });
    return reportOf({
      options,
      tasks: ledger.tasks.length,
      overInTime,
      minutes,
      boundMs,
      judgement,
      crashes,
      hungStops: world.watched.flatMap((one) => one.hungStops),
      reopened: ledger.reopened,
      idleWorkers,
      openReplicates: stillOpen,
      kills,
      leftovers: [...ofTasks, ...ofAll],
      half,
      end,
      watched: world.watched,
    });
  } finally {
    over.abort();
    signal.removeEventListener("abort", stopAll);
    await Promise.allSettled(background);
    await world.close();
  }
}

/** When the result proxy was last killed: what it was receiving then it removes much later, when it is sure that nobody else is. */
const killedAt = (kills: readonly Kill[]): number =>
  Math.max(0, ...kills.filter(({ who }) => who === "result-proxy").map(({ at }) => Date.parse(at)));

/** SIDE EFFECTS: copies the logs of all processes out of what is about to be deleted. */
async function keepLogs(world: World, { logsTo, seed }: SoakOptions, say: (text: string) => void): Promise<void> {
  const to = join(logsTo, `seed-${seed}`);
  await rm(to, { recursive: true, force: true });
  for (const folder of [world.logs, join(world.rig.network.dir, "logs")]) await cp(folder, to, { recursive: true }).catch(() => undefined);
  say(`the logs are in ${to}`);
}
