import { CleanMachine, type MachineOptions } from "./clean-machine.ts";
import { keepingGuideBase } from "./docker-worker.ts";
import type { JoinWorld } from "./join-world.ts";
import { run } from "./shell.ts";

/** The worker of the pool's script. */
export const WORKER = "local-worker";
/** On a busy machine the proof of the CPUs may fail; the docker line does without this. */
export const UNPROVED = ["--set", "IEXEC_WORKER_ALLOW_UNPROVED_LIMITS=true", "--set", "IEXEC_WORKER_CONTAINER_RUNTIME=runc"] as const;

/** A machine and a fresh worker.sh on it; everything is taken away afterwards. */
export async function onMachine<T>(
  world: JoinWorld,
  signal: AbortSignal,
  options: MachineOptions,
  work: (machine: CleanMachine, url: string) => Promise<T>,
): Promise<T> {
  const [network, watch] = await Promise.all([world.network(signal), world.watch()]);
  await world.offerImage(signal);
  return keepingGuideBase(async () => {
    const machine = await CleanMachine.start(watch, signal, options);
    try {
      return await work(machine, network.scheduler.url);
    } finally {
      const ending = AbortSignal.timeout(60_000);
      // In order, so that it takes its helper along.
      await run(["docker", "stop", WORKER], ending);
      await run(["docker", "rm", "-f", WORKER, `${WORKER}-before`], ending);
      await run(["docker", "volume", "rm", `${WORKER}-state`], ending);
      await machine.close();
    }
  });
}
