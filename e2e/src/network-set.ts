import { type Rig, startRig } from "./rig/rig.ts";
import type { ScenarioSet } from "./scenario.ts";

/** The nominal path, with workers in processes of their own. */
export const networkSet: ScenarioSet<Rig> = {
  name: "network",
  summary: "a task from deal to paid result, by workers in processes of their own",
  async open(signal) {
    const rig = await startRig({ wallets: 6 }, signal);
    return { context: rig, close: () => rig.close() };
  },
  scenarios: [
    {
      // The first: to the pool a worker that has just stopped is still one that could take the task.
      id: "impossible",
      async run(rig, signal) {
        const workers = [rig.worker().start(), rig.worker().start()];
        const taskId = await rig.buyOne("TEXT=alone", { trust: 5n });
        for (const { address } of workers) await rig.untilStatus(taskId, "CONTRIBUTED", signal, address);
        const from = performance.now();
        const told = await rig.untilChain(taskId, "COMPLETED", signal).then(
          () => undefined,
          (thrown: unknown) => String(thrown),
        );
        await Promise.all(workers.map((worker) => worker.stop()));
        if (told === undefined) throw new Error("two workers made a consensus that takes three");
        if (!/too few workers/.test(told)) throw new Error(`it did not say why it ended: ${told}`);
        return `told after ${Math.round((performance.now() - from) / 1_000)} s that two workers cannot do what takes three`;
      },
    },
    {
      id: "trust-1",
      short: true,
      async run(rig, signal) {
        const worker = rig.worker().start();
        const taskId = await rig.buyOne("TEXT=hello");
        await rig.untilStatus(taskId, "COMPLETED", signal);
        const code = await worker.stop();
        if (code !== 0) throw new Error(`the worker ended with ${code}`);
        return `completed; ${worker
          .history(taskId)
          .map((h) => h.status)
          .join(" ")}`;
      },
    },
    {
      id: "trust-5",
      short: true,
      async run(rig, signal) {
        const workers = [rig.worker().start(), rig.worker().start(), rig.worker().start()];
        const taskId = await rig.buyOne("TEXT=agreed", { trust: 5n });
        await rig.untilChain(taskId, "COMPLETED", signal);
        for (const { address } of workers) await rig.untilStatus(taskId, "COMPLETED", signal, address);
        await Promise.all(workers.map((worker) => worker.stop()));
        return "three workers agreed, revealed and were paid";
      },
    },
  ],
};
