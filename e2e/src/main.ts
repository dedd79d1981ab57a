import { constants } from "node:os";
import { parseArgs } from "node:util";
import { endProcess } from "@iexec-ts/service";
import { stopAllOwned } from "@iexec-ts/testkit";
import { chainFaultsSet } from "./chain-faults/chain-faults-set.ts";
import { crashSet } from "./crash/crash-set.ts";
import { demoSet } from "./demo/demo-set.ts";
import { hangSet } from "./hang/hang-set.ts";
import { schedulerHangSet } from "./hang/scheduler-set.ts";
import { hostileSet } from "./hostile/hostile-set.ts";
import { joinSet } from "./join/join-set.ts";
import { networkSet } from "./network-set.ts";
import { operatorSet } from "./operator/operator-set.ts";
import { pageSet } from "./page/page-set.ts";
import { forcesGc } from "./rig/program-process.ts";
import { runSet, type ScenarioSet, type SetReport } from "./scenario.ts";
import { soakSet } from "./soak/soak-set.ts";
import { replaySet } from "./statuses/replay-set.ts";
import { statusesSet } from "./statuses/statuses-set.ts";
import { stopSet } from "./stop/stop-set.ts";
import { wrongSet } from "./wrong/wrong-set.ts";

/** Runs a set without knowing what its scenarios share. */
interface RunnableSet {
  readonly name: string;
  readonly summary: string;
  readonly size: number;
  run(options: Parameters<typeof runSet>[1]): Promise<SetReport>;
}
const runnable = <Context>(set: ScenarioSet<Context>): RunnableSet => ({
  name: set.name,
  summary: set.summary,
  size: set.scenarios.length,
  run: (options) => runSet(set, options),
});

const SETS: readonly RunnableSet[] = [
  runnable(networkSet),
  runnable(demoSet),
  runnable(wrongSet),
  runnable(statusesSet),
  runnable(replaySet),
  runnable(chainFaultsSet),
  runnable(crashSet),
  runnable(hangSet),
  runnable(schedulerHangSet),
  runnable(pageSet),
  runnable(hostileSet),
  runnable(operatorSet),
  runnable(joinSet),
  runnable(stopSet),
  runnable(soakSet),
];

const { values, positionals } = parseArgs({
  options: { json: { type: "boolean", default: false }, short: { type: "boolean", default: false }, only: { type: "string" } },
  allowPositionals: true,
});
// What is put before the programs of the rig, here too.
if (forcesGc()) await import("./rig/force-gc.ts");
const say = (text: string) => void process.stderr.write(`${text}\n`);
const [name] = positionals;
const stop = new AbortController();
let told: NodeJS.Signals | undefined;
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    told ??= signal;
    stop.abort(new Error(signal));
  });
}
/** The whole run, for which each set has its own limits. */
const LIMIT_MS = (values.short ? 1 : name === "all" ? 6 : 3) * 3_600_000;
const limit = setTimeout(() => stop.abort(new Error(`the run took longer than ${LIMIT_MS / 3_600_000} h`)), LIMIT_MS);
limit.unref();

if (name === undefined) {
  for (const set of SETS) process.stdout.write(`${set.name.padEnd(14)} ${String(set.size).padStart(3)} scenarios  ${set.summary}\n`);
} else {
  const chosen = name === "all" ? SETS : SETS.filter((set) => set.name === name);
  if (chosen.length === 0) {
    say(`there is no scenario set ${name}; the sets are ${SETS.map((set) => set.name).join(", ")}`);
    process.exitCode = 64;
  } else {
    const only = values.only?.split(",");
    const reports: SetReport[] = [];
    for (const set of chosen) {
      if (stop.signal.aborted) break;
      const report = await set.run({ short: values.short, say, signal: stop.signal, ...(only === undefined ? {} : { only }) });
      reports.push(report);
      say(
        `${set.name}: ${report.passed} of ${report.total} in ${report.seconds} s${report.skipped > 0 ? `, ${report.skipped} skipped` : ""}`,
      );
    }
    const all: SetReport = {
      name,
      passed: reports.reduce((sum, r) => sum + r.passed, 0),
      skipped: reports.reduce((sum, r) => sum + r.skipped, 0),
      total: reports.reduce((sum, r) => sum + r.total, 0),
      seconds: reports.reduce((sum, r) => sum + r.seconds, 0),
      cases:
        chosen.length === 1
          ? reports.flatMap((r) => r.cases)
          : reports.flatMap((r) => r.cases.map((c) => ({ ...c, id: `${r.name}/${c.id}` }))),
    };
    if (values.json) process.stdout.write(`${JSON.stringify(all)}\n`);
    process.exitCode = !stop.signal.aborted && all.passed > 0 && all.passed + all.skipped === all.total ? 0 : 1;
    // What a scenario that was cut off left open neither outlives the run nor keeps it alive.
    await stopAllOwned();
    endProcess(told === undefined ? Number(process.exitCode) : 128 + constants.signals[told]);
  }
}
