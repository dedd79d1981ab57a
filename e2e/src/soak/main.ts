import { randomInt } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { CodedError } from "@iexec-ts/service";
import { ROOT } from "../demo/command.ts";
import { renderReport } from "./report.ts";
import { soak } from "./soak.ts";

const USAGE = `./run soak [--minutes N] [--kill] [--workers N] [--seed S] [--json]

  --minutes N   how long tasks are bought; default 10
  --kill        a SIGKILL of a random process (worker, scheduler, result proxy) each minute; it starts again a few seconds later
  --workers N   default 3, with --kill 6
  --seed S      of the mix of tasks and of the kills; a random one unless told, printed in any case
  --json        the last line on standard output is one JSON object
`;
const WRONG_USAGE = 64;
const INTERRUPTED = 130;

const say = (text: string): void => void process.stderr.write(`soak: ${text}\n`);

function given(): { minutes: number; workers: number; kill: boolean; seed: number; json: boolean } | undefined {
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: "string", default: "10" },
        workers: { type: "string" },
        seed: { type: "string" },
        kill: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    if (values.help) return undefined;
    const { kill, json } = values;
    const minutes = Number(values.minutes);
    const workers = Number(values.workers ?? (kill ? 6 : 3));
    const seed = Number(values.seed ?? randomInt(2 ** 32 - 1));
    if (!(minutes > 0)) throw new Error(`--minutes ${values.minutes} is not a number above 0`);
    // A task of trust 5 needs three workers that nobody knows yet.
    if (!Number.isInteger(workers) || workers < 3 || workers > 50) throw new Error(`--workers ${values.workers} is not from 3 to 50`);
    if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) throw new Error(`--seed ${values.seed} is not a whole number below 2^32`);
    return { minutes, workers, kill, seed, json };
  } catch (thrown) {
    say(thrown instanceof Error ? thrown.message : String(thrown));
    process.exitCode = WRONG_USAGE;
    return undefined;
  }
}

const options = given();
if (options === undefined) process.stderr.write(USAGE);
else {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort(new Error(name)));
  const tmp = await mkdtemp(join(tmpdir(), "iexec-soak-"));
  // Postgres drops root's rights and must still get at its folder.
  await chmod(tmp, 0o755);
  process.env.TMPDIR = tmp;
  try {
    const report = await soak({ ...options, tmp, logsTo: join(ROOT, "out/soak") }, { say, signal: stop.signal });
    process.stderr.write(`${renderReport(report)}\n`);
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    process.exitCode = report.ok ? 0 : 1;
  } catch (thrown) {
    const error = CodedError.from(thrown);
    say(stop.signal.aborted ? "stopped before the end" : `${error.code} ${error.message} ${error.fix}`);
    process.exitCode = stop.signal.aborted ? INTERRUPTED : 1;
  } finally {
    await rm(tmp, { recursive: true, force: true, maxRetries: 5 });
  }
}
