import type { TaskId } from "@iexec-ts/poco";
import { z } from "zod";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { Scenario } from "../scenario.ts";
import { EXIT, must, mustBe, mustEnd, mustRefuse, mustShow } from "./expect.ts";
import type { Operator } from "./operator.ts";
import type { World } from "./world.ts";

const LIMIT_MS = 240_000;
const CTRL_C = "\u0003";

const stateOf = async (operator: Operator, signal: AbortSignal): Promise<string> =>
  z.object({ state: z.string() }).parse((await operator.json(["status"], signal)).data).state;

const computes = (world: World, worker: WorkerProcess, taskId: TaskId, signal: AbortSignal): Promise<true> =>
  world.rig.until(
    "the task computes",
    () => (worker.history(taskId).some(({ status }) => status === "COMPUTING") ? true : undefined),
    signal,
  );

const joined = (world: World, operator: Operator, signal: AbortSignal, times = 1): Promise<true> =>
  world.rig.until("the worker joins", async () => ((await operator.log()).split("all set").length > times ? true : undefined), signal);

export const LIFECYCLE_SCENARIOS: readonly Scenario<World>[] = [
  {
    id: "start-at-the-terminal",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const terminal = operator.at(["iexec-worker", "start"]);
      await terminal.shows(/Cool, your iexec-worker is all set!/, signal);
      mustBe("the state", await stateOf(operator, signal), "RUNNING");
      const taskId = await world.rig.buyOne("TEXT=terminal");
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      terminal.press(CTRL_C);
      mustEnd(await terminal.end(signal), EXIT.ok);
      mustBe("the state", await stateOf(operator, signal), "STOPPED");
      return "started, did a task, ended in order by Ctrl-C";
    },
  },
  {
    id: "start-detached-and-stop",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const started = mustEnd(await operator.run(["start", "--detach"], signal), EXIT.ok);
      mustShow(started, "iexec-worker");
      mustBe("the state", await stateOf(operator, signal), "RUNNING");
      const stopped = mustEnd(await operator.run(["stop"], signal), EXIT.ok);
      mustShow(stopped, "STOPPED");
      mustBe("the state", await stateOf(operator, signal), "STOPPED");
      mustRefuse(await operator.run(["stop"], signal), EXIT.person, "WRK-1512");
      return "the shell is free at once; stop ends it; a second stop says that none runs";
    },
  },
  {
    id: "pause-and-resume",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const worker = operator.worker().start();
      await joined(world, operator, signal);
      mustShow(mustEnd(await operator.run(["pause"], signal), EXIT.ok), /RUNNING -> PAUSED until you resume it/);
      mustBe("the state", await stateOf(operator, signal), "PAUSED");
      const taskId = await world.rig.buyOne("TEXT=later");
      await worker.stop();
      worker.start();
      await joined(world, operator, signal, 2);
      mustBe("the state after a restart", await stateOf(operator, signal), "PAUSED");
      mustBe("tasks taken while paused", worker.history(taskId).length, 0);
      mustShow(mustEnd(await operator.run(["status"], signal), EXIT.ok), "PAUSED");
      mustShow(mustEnd(await operator.run(["resume"], signal), EXIT.ok), /PAUSED -> RUNNING/);
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      await worker.stop();
      return "paused also after a restart, took nothing; resumed, it did the task that had waited";
    },
  },
  {
    id: "pause-for-a-time",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      // While no worker runs: the pause is in the journal.
      mustShow(mustEnd(await operator.run(["pause", "--for", "20s"], signal), EXIT.ok), /PAUSED until /);
      const paused = Date.now();
      const worker = operator.worker().start();
      await joined(world, operator, signal);
      const taskId = await world.rig.buyOne("TEXT=after");
      await world.rig.untilStatus(taskId, "CREATED", signal, operator.address);
      const waited = Date.now() - paused;
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      mustBe("the state", await stateOf(operator, signal), "RUNNING");
      await worker.stop();
      must(waited > 15_000, `it took a task after ${waited} ms of 20 s`);
      mustRefuse(await operator.run(["pause", "--for", "soon"], signal), EXIT.usage, "WRK-2012");
      return "paused while stopped; resumed by itself, then took the task";
    },
  },
  {
    id: "drain",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const worker = operator.worker().start();
      await joined(world, operator, signal);
      const taskId = await world.rig.buyOne("TEXT=drained SLEEP=5");
      await computes(world, worker, taskId, signal);
      const drained = mustEnd(await operator.run(["stop", "--drain", "--timeout", "3m"], signal), EXIT.ok);
      mustShow(drained, /DRAINING|STOPPED/);
      mustBe("the worker's exit code", await worker.exited, EXIT.ok);
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      must(
        worker.history(taskId).some(({ status }) => status === "RESULT_UPLOADED"),
        "stopped before the upload",
      );
      return "finished what was under way, upload included, then stopped with exit 0";
    },
  },
  {
    id: "twin-on-this-machine",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const worker = operator.worker().start();
      await joined(world, operator, signal);
      const twin = await operator.run(["start"], signal, { env: { IEXEC_WORKER_NAME: "twin", IEXEC_WORKER_PORT: "0" } });
      mustRefuse(twin, EXIT.person, "WRK-1001");
      const taskId = await world.rig.buyOne("TEXT=one");
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      await worker.stop();
      return "the second is refused by the lock (WRK-1001); the first went on";
    },
  },
  {
    id: "twin-on-another-machine",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const worker = operator.worker().start();
      await joined(world, operator, signal);
      const taskId = await world.rig.buyOne("TEXT=twins", { trust: 3n });
      await world.rig.untilStatus(taskId, "CONTRIBUTED", signal, operator.address);
      await worker.kill();
      // Another machine knows the wallet and nothing else.
      const elsewhere = { IEXEC_WORKER_STATE_DIR: `${operator.home}/elsewhere`, IEXEC_WORKER_PORT: "0" };
      mustRefuse(await operator.run(["start"], signal, { env: elsewhere }), EXIT.person, "WRK-1305");
      worker.start();
      const other = await world.operator();
      const helper = other.worker().start();
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      await Promise.all([worker.stop(), helper.stop()]);
      return "a worker elsewhere found a contribution of its wallet that it had not made, and stopped (WRK-1305); the first one revealed and was paid";
    },
  },
  {
    id: "restart-inside-the-window",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const worker = operator.worker().start();
      await joined(world, operator, signal);
      const taskId = await world.rig.buyOne("TEXT=mine", { trust: 3n });
      await world.rig.untilStatus(taskId, "CONTRIBUTED", signal, operator.address);
      await worker.kill();
      worker.start();
      await joined(world, operator, signal, 2);
      const other = await world.operator();
      const helper = other.worker().start();
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      const log = await operator.log();
      const accused = ["WRK-1305", "WRK-1315", "WRK-1001"].filter((code) => log.includes(code));
      mustBe("codes of a twin in the log", accused.join(), "");
      await Promise.all([worker.stop(), helper.stop()]);
      return "killed after its contribution and started at once: it knew its own transactions, revealed and was paid";
    },
  },
];
