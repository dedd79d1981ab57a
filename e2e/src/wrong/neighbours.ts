import { readFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { freePort } from "@iexec-ts/service";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { Scenario } from "../scenario.ts";
import { EXIT, programOf, requireRefusal } from "./refusal.ts";
import type { World } from "./world.ts";

const DEADLINE_MS = 240_000;
const OTHER_POOL = `0x${"7".repeat(40)}`;

/** Waits until the worker has logged this. */
const logged = (world: World, worker: WorkerProcess, text: string, signal: AbortSignal): Promise<true> =>
  world.rig.until(
    `the worker logs ${text}`,
    async () => ((await readFile(worker.logPath, "utf8").catch(() => "")).includes(text) ? true : undefined),
    signal,
  );

/** A port that leads to another: a neighbour that comes late. */
async function openDoor(port: number, to: number): Promise<{ close(): void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const other = connect(to, "127.0.0.1");
    for (const end of [socket, other]) {
      sockets.add(end);
      end.on("error", () => end.destroy());
      end.on("close", () => sockets.delete(end));
    }
    socket.pipe(other).pipe(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return {
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

export const neighbourScenarios: readonly Scenario<World>[] = [
  {
    id: "worker-without-node",
    timeoutMs: DEADLINE_MS,
    async run(world) {
      const dead = `http://127.0.0.1:${await freePort()}`;
      const exit = EXIT.temporary;
      return world.refuses({ IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS: dead }, { exit, code: "CHN-1003", names: [dead] });
    },
  },
  {
    id: "services-without-node",
    timeoutMs: DEADLINE_MS,
    async run(world) {
      const dead = `http://127.0.0.1:${await freePort()}`;
      const expected = { exit: EXIT.temporary, code: "CHN-1003", names: [dead] } as const;
      const env = { IEXEC_BLOCKCHAIN_NODE_ADDRESS: dead };
      const scheduler = await requireRefusal([process.execPath, programOf("scheduler")], expected, {
        env: { ...world.schedulerEnv, ...env },
      });
      const proxy = await requireRefusal([process.execPath, programOf("result-proxy")], expected, {
        env: { ...world.resultProxyEnv, ...env },
      });
      return `scheduler ${scheduler}; result proxy ${proxy}`;
    },
  },
  {
    id: "scheduler-late",
    timeoutMs: DEADLINE_MS,
    async run(world, signal) {
      const { rig } = world;
      const port = await freePort();
      const worker = rig.worker({ IEXEC_CORE_URL: `http://127.0.0.1:${port}` }).start();
      await logged(world, worker, "WIR-1001", signal);
      const door = await openDoor(port, Number(new URL(rig.network.schedulerUrl).port));
      try {
        await logged(world, worker, "all set", signal);
        const taskId = await rig.buyOne("TEXT=late");
        await rig.untilStatus(taskId, "COMPLETED", signal, worker.address);
        const code = await worker.stop();
        if (code !== 0) throw new Error(`the worker ended with ${code}`);
        return "waited and said so (WIR-1001), joined when the scheduler came, completed a task";
      } finally {
        door.close();
      }
    },
  },
  {
    id: "wrong-pool",
    short: true,
    timeoutMs: DEADLINE_MS,
    run: (world) =>
      world.refuses({ POOL_ADDRESS: OTHER_POOL }, { exit: EXIT.person, code: "WRK-1004", names: [OTHER_POOL, "POOL_ADDRESS"] }),
  },
  {
    id: "worker-disk-full",
    timeoutMs: DEADLINE_MS,
    async run(world, signal) {
      const { rig } = world;
      const taskId = await rig.buyOne("TEXT=room");
      const worker = rig.worker().start({ IEXEC_WORKER_MIN_FREE_MIB: "900000000" });
      await logged(world, worker, "WRK-1003", signal);
      if (worker.history(taskId).length > 0) throw new Error("took a task without room for it");
      await worker.stop();
      worker.start();
      await rig.untilStatus(taskId, "COMPLETED", signal, worker.address);
      await worker.stop();
      return "asked for nothing while the disk was full (WRK-1003); with room again it completed the task";
    },
  },
];
