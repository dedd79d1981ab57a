import { type BenchReport, type Figure, figure, machine, table } from "../figure.ts";
import { growthPer100 } from "./growth.ts";
import type { Judgement, StuckTask } from "./judge.ts";
import type { Kill } from "./killer.ts";
import type { SoakOptions, StateSize } from "./soak.ts";
import { type Errors, reasonsAgainst, stakeLostIn, stallsIn } from "./verdict.ts";
import type { Role, Sample, Watched } from "./watched.ts";

/** MiB of resident memory per hundred tasks. */
const GROWTH_TARGETS: Readonly<Record<Role, Figure["target"]>> = { worker: { max: 1 }, scheduler: { max: 5 }, "result-proxy": undefined };

export interface SoakRun {
  readonly options: SoakOptions;
  /** Bought. */
  readonly tasks: number;
  /** Finalized or claimed while tasks were still bought. */
  readonly overInTime: number;
  readonly minutes: number;
  readonly boundMs: number;
  readonly judgement: Judgement;
  readonly crashes: readonly string[];
  /** For these see `Findings`. */
  readonly hungStops: readonly string[];
  readonly reopened: readonly string[];
  readonly idleWorkers: readonly string[];
  readonly openReplicates: readonly string[];
  readonly kills: readonly Kill[];
  readonly leftovers: readonly string[];
  readonly half: StateSize;
  readonly end: StateSize;
  readonly watched: readonly Watched[];
}

interface Descriptors {
  readonly start: number;
  readonly end: number;
  readonly max: number;
  readonly growth_per_100: number | null;
}

/** What `./run soak --json` prints; the names are those of its users. */
export interface SoakReport extends BenchReport {
  readonly name: "soak";
  readonly ok: boolean;
  readonly seed: number;
  readonly minutes: number;
  readonly workers: number;
  readonly kill: boolean;
  readonly tasks: number;
  readonly completed: number;
  readonly failed_as_expected: number;
  readonly stuck: number;
  /** Tasks that are left when none has ended for so long, and nothing more is bought, count as stuck. */
  readonly stuck_bound_seconds: number;
  readonly stuck_tasks: readonly StuckTask[];
  readonly tasks_per_minute: number;
  /** Null where a run was too short to tell. */
  readonly worker_rss_growth_mib_per_100: number | null;
  readonly scheduler_rss_growth_mib_per_100: number | null;
  readonly proxy_rss_growth_mib_per_100: number | null;
  readonly state_bytes_per_replicate: number | null;
  readonly file_descriptors: Readonly<Record<string, Descriptors>>;
  readonly leftovers: number;
  readonly leftover_list: readonly string[];
  readonly crashes: readonly string[];
  readonly kills: readonly Kill[];
  /** Ends that were asked for and took a SIGKILL, or gave another code than 0. */
  readonly hung_stops: number;
  /** Tasks that the contracts opened again: somebody contributed and did not reveal. */
  readonly reopened: number;
  /** WRK-1316. */
  readonly stake_lost: number;
  /** SVC-1501, SVC-1502 and SCH-1403. */
  readonly stalls: number;
  /** Without a contribution in the last third of the buying; 0 when that took less than five minutes. */
  readonly idle_workers: number;
  /** In the workers' journals, after the end of all tasks. */
  readonly open_replicates: number;
  /** Why it is not `ok`. */
  readonly reasons: readonly string[];
  readonly errors: Errors;
}

const rounded = (value: number | undefined): number | null => (value === undefined ? null : Math.round(value * 100) / 100);

/** Samples of the second half of the run that belong to one life of the process, the longest. */
function secondHalf(samples: readonly Sample[]): readonly Sample[] {
  const half = samples.slice(Math.floor(samples.length / 2));
  const lives = [...new Set(half.map(({ life }) => life))].map((life) => half.filter((sample) => sample.life === life));
  return lives.reduce<readonly Sample[]>((longest, life) => (life.length > longest.length ? life : longest), []);
}

const growthOf = ({ samples }: Watched, pick: (sample: Sample) => number): number | undefined =>
  growthPer100(secondHalf(samples).map((sample) => ({ tasks: sample.tasks, value: pick(sample) })));

function descriptors(watched: Watched): Descriptors {
  const fds = watched.samples.map((sample) => sample.fds);
  return {
    start: fds[0] ?? 0,
    end: fds.at(-1) ?? 0,
    max: Math.max(0, ...fds),
    growth_per_100: rounded(growthOf(watched, (sample) => sample.fds)),
  };
}

function figuresOf(run: SoakRun): Readonly<Record<string, Figure>> {
  const figures: Record<string, Figure> = {
    tasks_per_minute: figure([run.overInTime / run.minutes], "1/min"),
  };
  for (const role of ["worker", "scheduler", "result-proxy"] as const) {
    const name = role === "result-proxy" ? "proxy" : role;
    const all = run.watched.filter((one) => one.role === role);
    const rss = all.flatMap(({ samples }) => samples.map((sample) => sample.rssMib));
    const heap = all.flatMap(({ samples }) => samples.flatMap((sample) => sample.heapMib ?? []));
    const growths = all.flatMap((one) => growthOf(one, (sample) => sample.rssMib) ?? []);
    const heapGrowths = all
      .filter(({ samples }) => samples.every(({ heapMib }, n) => n < samples.length / 2 || heapMib !== undefined))
      .flatMap((one) => growthOf(one, (sample) => sample.heapMib ?? 0) ?? []);
    if (rss.length > 0) figures[`${name}_rss_mib`] = figure(rss, "MiB");
    if (heap.length > 0) figures[`${name}_heap_mib`] = figure(heap, "MiB");
    if (growths.length > 0) figures[`${name}_rss_growth_mib_per_100`] = figure(growths, "MiB", GROWTH_TARGETS[role], Math.max(...growths));
    const cpu = all.flatMap((one) => growthOf(one, (sample) => sample.cpuSeconds) ?? []);
    if (cpu.length > 0) figures[`${name}_cpu_s_per_100`] = figure(cpu, "s", undefined, Math.max(...cpu));
    if (heapGrowths.length > 0)
      figures[`${name}_heap_growth_mib_per_100`] = figure(heapGrowths, "MiB", undefined, Math.max(...heapGrowths));
  }
  const replicates = run.end.replicates - run.half.replicates;
  if (replicates > 0) figures.state_bytes_per_replicate = figure([(run.end.bytes - run.half.bytes) / replicates], "B");
  return figures;
}

function errorsOf(watched: readonly Watched[]): Errors {
  const roles: Record<string, Record<string, number>> = {};
  for (const one of watched) {
    const sums = roles[one.role] ?? {};
    for (const [code, count] of one.errors()) sums[code] = (sums[code] ?? 0) + count;
    roles[one.role] = sums;
  }
  return roles;
}

/** Exit code 0 stands for `ok`: there is no reason against it. */
export function reportOf(run: SoakRun): SoakReport {
  const { judgement, options } = run;
  const figures = figuresOf(run);
  const errors = errorsOf(run.watched);
  const reasons = reasonsAgainst({
    ...run,
    kill: options.kill,
    completed: judgement.completed,
    stuck: judgement.stuck.length,
    errors,
  });
  const value = (name: string): number | null => rounded(figures[name]?.value);
  return {
    name: "soak",
    ok: reasons.length === 0,
    seed: options.seed,
    minutes: rounded(run.minutes) ?? 0,
    workers: options.workers,
    kill: options.kill,
    tasks: run.tasks,
    completed: judgement.completed,
    failed_as_expected: judgement.failedAsExpected,
    stuck: judgement.stuck.length,
    stuck_bound_seconds: run.boundMs / 1_000,
    stuck_tasks: judgement.stuck,
    tasks_per_minute: value("tasks_per_minute") ?? 0,
    worker_rss_growth_mib_per_100: value("worker_rss_growth_mib_per_100"),
    scheduler_rss_growth_mib_per_100: value("scheduler_rss_growth_mib_per_100"),
    proxy_rss_growth_mib_per_100: value("proxy_rss_growth_mib_per_100"),
    state_bytes_per_replicate: value("state_bytes_per_replicate"),
    file_descriptors: Object.fromEntries(run.watched.map((one) => [one.name, descriptors(one)])),
    leftovers: run.leftovers.length,
    leftover_list: run.leftovers,
    crashes: run.crashes,
    kills: run.kills,
    hung_stops: run.hungStops.length,
    reopened: run.reopened.length,
    stake_lost: stakeLostIn(errors),
    stalls: stallsIn(errors),
    idle_workers: run.idleWorkers.length,
    open_replicates: run.openReplicates.length,
    reasons,
    errors,
    machine: machine(),
    figures,
  };
}

/** For a person. */
export function renderReport(report: SoakReport): string {
  const counts = `${report.tasks} tasks in ${report.minutes} minutes: ${report.completed} completed, ${report.failed_as_expected} failed as expected, ${report.stuck} stuck (none ended for ${report.stuck_bound_seconds} s), ${report.leftovers} leftovers; seed ${report.seed}`;
  const stuck = report.stuck_tasks.flatMap(({ taskId, kind, ageSeconds, chain, replicates, workers }) => [
    `  STUCK ${kind} ${taskId}, ${ageSeconds} s old, on chain ${chain}`,
    ...replicates.map((line) => `    pool: ${line}`),
    ...workers.map((line) => `    worker: ${line}`),
  ]);
  const fds = Object.entries(report.file_descriptors).map(([name, { start, end, max }]) => `${name} ${start} to ${end}, max ${max}`);
  const errors = Object.entries(report.errors).flatMap(([role, codes]) =>
    Object.entries(codes).map(([code, count]) => `${role} ${code} ${count}`),
  );
  return [
    table(report),
    `  file descriptors: ${fds.join("; ")}`,
    `  errors: ${errors.length === 0 ? "none counted" : errors.join(", ")}`,
    ...stuck,
    `  hung stops ${report.hung_stops}, tasks reopened ${report.reopened}, stakes lost ${report.stake_lost}, stalls ${report.stalls}, idle workers ${report.idle_workers}, open replicates ${report.open_replicates}`,
    ...report.reasons.map((reason) => `  NOT OK: ${reason}`),
    counts,
  ].join("\n");
}
