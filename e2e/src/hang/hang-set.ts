import { freePort } from "@iexec-ts/service";
import { z } from "zod";
import { type Rig, startRig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { Scenario, ScenarioSet } from "../scenario.ts";

/** Of a planted loop: what it may stand still before it must be told. */
const BOUND_MS = 4_000;
/** To be told everywhere, with what a busy machine adds. */
const TELL_MS = 15_000;

const health = z.object({
  status: z.string(),
  components: z.object({ loops: z.object({ status: z.string(), details: z.record(z.string(), z.unknown()).optional() }) }),
});
const status = z.object({ doing: z.object({ stalls: z.array(z.object({ loop: z.string(), mendedAt: z.string().nullable() })) }) });
const overview = z.object({ needs: z.array(z.object({ level: z.string(), text: z.string() })) });

/** One worker process with a planted hang, its page, and a task that must complete without a restart. */
interface Patient {
  readonly worker: WorkerProcess;
  readonly url: string;
}

interface Hang {
  /** Name of the loop in the watchdog. */
  readonly loop: string;
  /** What the page says of it. */
  readonly words: RegExp;
  readonly short?: boolean;
  /** How many runs of it hang. */
  readonly runs?: number;
}

const HANGS: readonly Hang[] = [
  { loop: "replicate", words: /the work on task 0x[0-9a-f]{64} (stood|has stood) still/, short: true },
  { loop: "push link", words: /hearing its scheduler .*(stood|has stood) still/, short: true },
  { loop: "demand", words: /asking for tasks (stood|has stood) still/ },
  { loop: "reporter", words: /telling the scheduler about task 0x[0-9a-f]{64} (stood|has stood) still/ },
  { loop: "ping", words: /the heart-beat to its scheduler .*(stood|has stood) still/ },
  { loop: "transactions", words: /sending and following the wallet's transactions .*(stood|has stood) still/ },
  { loop: "container", words: /following an app's container .*(stood|has stood) still/ },
];

async function start(rig: Rig, { loop, runs = 1 }: Hang, signal: AbortSignal): Promise<Patient> {
  const port = await freePort();
  const worker = rig.worker({ IEXEC_WORKER_PORT: String(port) });
  worker.start({ IEXEC_TEST_HANG_AT: `${loop}#${runs}`, IEXEC_TEST_LOOP_BOUND_MS: String(BOUND_MS) });
  const url = `http://127.0.0.1:${port}`;
  await rig.until("the worker's page", () => answer(`${url}/version`), signal);
  return { worker, url };
}

const answer = (url: string): Promise<true | undefined> =>
  fetch(url).then(
    () => true,
    () => undefined,
  );
const json = async (url: string): Promise<unknown> => (await fetch(url)).json();

/** Waits until `what` is said in time. */
async function told<T>(rig: Rig, what: string, look: () => Promise<T | undefined>, signal: AbortSignal): Promise<T> {
  const limit = performance.now() + TELL_MS;
  return rig.until(
    what,
    async () => {
      if (performance.now() > limit) throw new Error(`not told within ${TELL_MS} ms: ${what}`);
      return look();
    },
    signal,
  );
}

function scenarioOf(hang: Hang): Scenario<Rig> {
  const { loop, words } = hang;
  return {
    id: loop.replace(" ", "-"),
    ...(hang.short === undefined ? {} : { short: hang.short }),
    timeoutMs: 180_000,
    async run(rig, signal) {
      const { worker, url } = await start(rig, hang, signal);
      try {
        const taskId = await rig.buyOne("TEXT=steady");
        const stall = await rig.until(
          `a word of the hung loop in /v1/status`,
          async () => status.parse(await json(`${url}/v1/status`)).doing.stalls.find((one) => one.loop === loop),
          signal,
        );
        const { components } = await told(
          rig,
          "health",
          async () => {
            const report = health.parse(await json(`${url}/health`));
            const { last, stalled } = report.components.loops.details ?? {};
            return String(stalled ?? last ?? "").includes(loop) ? report : undefined;
          },
          signal,
        );
        await told(
          rig,
          "a need on the page",
          async () => overview.parse(await json(`${url}/v1/overview`)).needs.find(({ text }) => words.test(text)),
          signal,
        );
        await told(
          rig,
          "the metric",
          async () => {
            const metrics = await (await fetch(`${url}/metrics`)).text();
            const counted = metrics.includes(`iexec_worker_loop_stalls_total{loop="${loop}"} 1`);
            return counted && metrics.includes('iexec_errors_total{code="SVC-1501"}') ? true : undefined;
          },
          signal,
        );
        await rig.untilStatus(taskId, "COMPLETED", signal, worker.address);
        if (!worker.running) throw new Error("the worker ended");
        return `told (${stall.mendedAt === null ? "standing" : "mended"} at first sight, health ${components.loops.status}), and the task completed by itself`;
      } finally {
        await worker.stop();
      }
    },
  };
}

/** Two runs hang: between them the loop stands, and that is when health is DOWN. */
const standing: Scenario<Rig> = {
  id: "stands-twice",
  timeoutMs: 180_000,
  async run(rig, signal) {
    const { worker, url } = await start(rig, { loop: "demand", words: /./, runs: 3 }, signal);
    try {
      const taskId = await rig.buyOne("TEXT=steady");
      await rig.until(
        "health is DOWN while the loop stands",
        async () => {
          const report = health.parse(await json(`${url}/health`));
          return report.components.loops.status === "DOWN" && report.status === "DOWN" ? true : undefined;
        },
        signal,
      );
      await rig.until(
        "health says that the loop goes on",
        async () => (health.parse(await json(`${url}/health`)).components.loops.status === "UP" ? true : undefined),
        signal,
      );
      await rig.untilStatus(taskId, "COMPLETED", signal, worker.address);
      return "DOWN while it stood, UP afterwards, and the task completed by itself";
    } finally {
      await worker.stop();
    }
  },
};

/**
 * A hang is planted in each loop of a worker process (IEXEC_TEST_HANG_AT): the loop waits for something that never comes. It is told in health,
 * page, status and metrics within its bound, and the task completes without anybody's help.
 */
export const hangSet: ScenarioSet<Rig> = {
  name: "hang",
  summary: "a loop of a worker hangs; it is told and mended, and the task completes by itself",
  async open(signal) {
    const rig = await startRig({ wallets: HANGS.length + 1, lostAfterMs: 900_000 }, signal);
    return { context: rig, close: () => rig.close() };
  },
  scenarios: [...HANGS.map(scenarioOf), standing],
};
