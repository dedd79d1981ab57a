import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunService } from "@iexec-ts/network";
import { z } from "zod";
import { ProgramProcess } from "../rig/program-process.ts";
import { type Rig, startRig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { Scenario, ScenarioSet } from "../scenario.ts";

/** Of a planted loop: what it may stand still before it must be told. */
const BOUND_MS = 2_000;
const READY_MS = 60_000;
const POOL = z.object({ stalls: z.array(z.object({ loop: z.string(), mendedAt: z.string().optional() })) });

/** A network whose scheduler is a program of its own, and one worker. */
interface Lab {
  readonly rig: Rig;
  readonly worker: WorkerProcess;
  readonly scheduler: ProgramProcess;
}

const answers = (url: string): Promise<boolean> =>
  fetch(`${url}/v1/pool`).then(
    ({ ok }) => ok,
    () => false,
  );

async function ready(program: ProgramProcess, url: string): Promise<void> {
  const until = performance.now() + READY_MS;
  while (!(await answers(url).catch(() => false))) {
    if (!program.running) throw new Error("the program ended before it answered");
    if (performance.now() > until) throw new Error(`nothing answers at ${url}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function openLab(signal: AbortSignal): Promise<{ readonly context: Lab; close(): Promise<void> }> {
  let scheduler: ProgramProcess | undefined;
  const logs = await mkdtemp(join(tmpdir(), "iexec-hang-"));
  const runService: RunService = async ({ name, path, env, url }) => {
    const program = new ProgramProcess({ program: path, env, logPath: join(logs, `${name}.log`) });
    program.start();
    if (name === "scheduler") {
      scheduler = program;
      await ready(program, url);
    }
    return { close: () => program.stop() };
  };
  const rig = await startRig({ wallets: 1, lostAfterMs: 900_000, runService }, signal);
  if (scheduler === undefined) throw new Error("the network started no scheduler");
  const worker = rig.worker();
  worker.start();
  return {
    context: { rig, worker, scheduler },
    async close() {
      await rig.close();
      await rm(logs, { recursive: true, force: true });
    },
  };
}

/** SIDE EFFECTS: the scheduler ends and starts again with hangs planted. */
async function plant({ rig, scheduler }: Lab, at: string): Promise<void> {
  const code = await scheduler.stop();
  if (code !== 0) throw new Error(`the scheduler was stopped and ended with ${code}`);
  scheduler.start({ IEXEC_TEST_HANG_AT: at, IEXEC_TEST_LOOP_BOUND_MS: String(BOUND_MS) });
  await ready(scheduler, rig.network.schedulerUrl);
}

async function stallsOf({ rig }: Lab): Promise<z.output<typeof POOL>["stalls"]> {
  return POOL.parse(await (await fetch(`${rig.network.schedulerUrl}/v1/pool`)).json()).stalls;
}

const hanging = (id: string, loops: readonly string[], short = false): Scenario<Lab> => ({
  id,
  short,
  timeoutMs: 180_000,
  async run(lab, signal) {
    await plant(lab, loops.join());
    const taskId = await lab.rig.buyOne("TEXT=steady");
    const all = await lab.rig.until(
      "each loop told and mended",
      async () => {
        const stalls = await stallsOf(lab);
        return loops.every((loop) => stalls.some((one) => one.loop === loop && one.mendedAt !== undefined)) ? stalls : undefined;
      },
      signal,
    );
    await lab.rig.untilStatus(taskId, "COMPLETED", signal, lab.worker.address.toLowerCase());
    const metrics = await (await fetch(`${lab.rig.network.schedulerUrl}/metrics`)).text();
    for (const loop of loops)
      if (!metrics.includes(`iexec_scheduler_loop_stalls_total{loop="${loop}"}`)) throw new Error(`no metric of ${loop}`);
    return `${all.length} told and mended, and the task completed by itself`;
  },
});

/** Whatever hangs, a stop ends the process in time; what it owes is done after the next start. */
const stopping: Scenario<Lab> = {
  id: "stop",
  timeoutMs: 180_000,
  async run(lab, signal) {
    await plant(lab, "decision#1000000,calls#1000000,sweep#1000000");
    const taskId = await lab.rig.buyOne("TEXT=later");
    await lab.rig.until(
      "a decision stands still",
      async () => ((await stallsOf(lab)).some(({ loop }) => loop === "decision") ? true : undefined),
      signal,
    );
    await plant(lab, "");
    await lab.rig.untilStatus(taskId, "COMPLETED", signal, lab.worker.address.toLowerCase());
    return "it ended in order with three loops hanging, and the task completed after the next start";
  },
};

/**
 * A hang is planted in loops of a scheduler process (IEXEC_TEST_HANG_AT): the loop waits for something that never comes. It is told in the
 * pool's state and the metrics within its bound, and the task completes without anybody's help.
 */
export const schedulerHangSet: ScenarioSet<Lab> = {
  name: "hang-scheduler",
  summary: "a loop of the scheduler hangs; it is told and mended, and the task completes by itself",
  open: openLab,
  scenarios: [
    hanging("dispatcher", ["dispatcher"], true),
    hanging("decision", ["decision"]),
    hanging("calls", ["calls"]),
    hanging("signals", ["signals"]),
    hanging("leadership", ["leadership"]),
    hanging("demand", ["demand"]),
    hanging("everything", [
      "dispatcher",
      "decision",
      "calls",
      "signals",
      "leadership",
      "demand",
      "pings",
      "liveness",
      "sweep",
      "event readers",
    ]),
    stopping,
  ],
};
