import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs, promisify } from "node:util";
import { type BenchReport, type Figure, machine, table } from "@iexec-ts/e2e";
import { benchSoak } from "./soak-bench.ts";
import { benchWorker, FULL } from "./worker-bench.ts";

const run = promisify(execFile);
const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const SOAK_TASKS = 200;
const LIMIT_MS = 3_600_000;

interface Bench {
  readonly summary: string;
  readonly run: (bundle: string, signal: AbortSignal) => Promise<Readonly<Record<string, Figure>>>;
}

const BENCHES: Readonly<Record<string, Bench>> = {
  worker: {
    summary: "start, idle cost, overhead per task, zip and decryption speed of a worker",
    run: (bundle, signal) => benchWorker({ ...FULL, bundle }, signal),
  },
  soak: {
    summary: `${SOAK_TASKS} tiny tasks on one worker: memory, handles and disk stay flat`,
    run: (bundle, signal) => benchSoak({ tasks: SOAK_TASKS, bundle }, signal),
  },
};

const { values, positionals } = parseArgs({ options: { json: { type: "boolean", default: false } }, allowPositionals: true });
const [name] = positionals;
const bench = name === undefined ? undefined : BENCHES[name];
if (name === undefined) {
  for (const [key, { summary }] of Object.entries(BENCHES)) process.stdout.write(`${key.padEnd(10)} ${summary}\n`);
} else if (bench === undefined) {
  process.stderr.write(`there is no bench ${name}; the benches are ${Object.keys(BENCHES).join(", ")}\n`);
  process.exitCode = 64;
} else {
  process.stderr.write("building the bundles\n");
  await run(process.execPath, [root("tools/build.ts")]);
  const figures = await bench.run(root("out/bundles/iexec-worker.mjs"), AbortSignal.timeout(LIMIT_MS));
  const report: BenchReport = { name, machine: machine(), figures };
  process.stderr.write(`${table(report)}\n`);
  if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
}
