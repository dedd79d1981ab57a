import type { Rig } from "../rig/rig.ts";
import type { Scenario } from "../scenario.ts";
import { play } from "./play.ts";

const LIMIT_MS = 300_000;

/** The scheduler cannot be heard: the chain alone says what is owed. */
export const SCHEDULER_SCENARIOS: readonly Scenario<Rig>[] = [
  {
    id: "scheduler-down-until-revealed",
    timeoutMs: LIMIT_MS,
    run: (rig, signal) =>
      play(
        rig,
        {
          async act({ untilActive, untilPooled, untilRecord, weather, scheduler }) {
            await untilActive();
            await untilPooled("contribute");
            scheduler.faults.down = true;
            scheduler.cutSockets();
            await weather.resume();
            await untilRecord("reveal", "mined", ({ state }) => state === "mined" || state === "final");
            scheduler.heal();
            return "contributed and revealed without a word from the scheduler";
          },
        },
        signal,
      ),
  },
  {
    id: "every-notification-dropped",
    timeoutMs: LIMIT_MS,
    run: (rig, signal) => {
      let lost = 0;
      return play(
        rig,
        {
          prepare: ({ scheduler }) => {
            scheduler.faults.dropMessage = (direction, text) => {
              const hit = direction === "down" && text.includes("MESSAGE");
              if (hit) lost += 1;
              return hit;
            };
          },
          async act({ taskId, worker }) {
            await rig.untilStatus(taskId, "COMPLETED", signal, worker.address);
            if (lost === 0) throw new Error("there was no notification to drop");
            return `${lost} notifications were lost`;
          },
        },
        signal,
      );
    },
  },
];
