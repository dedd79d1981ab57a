import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { backoff, systemRandom } from "@iexec-ts/service";
import { afterEach, test } from "vitest";
import { ReplicateEngine } from "./engine.ts";
import { active, TASK, World } from "./test/world.ts";

setFlagsFromString("--expose-gc");
// As in a worker that has run for a while: optimized code keeps nothing alive that it does not use any more.
for (const flag of ["--invocation-count-for-maglev=2", "--no-concurrent-recompilation", "--no-lazy-feedback-allocation"])
  setFlagsFromString(flag);
const collect: () => void = runInNewContext("gc");
/** Enough for the code to be optimized. */
const REPLICATES = 12;
const newBackoff = () => backoff({ baseMs: 10, maxMs: 50 }, systemRandom);

let world = new World();
afterEach(() => world.close());

/** The fault of the first soak: an abort that fell between two awaits was lost to a collection, and the replicate slept for ever. */
test("a stage that ends while the chain is looked at goes on to the next, whatever is collected meanwhile", async () => {
  for (let time = 0; time < REPLICATES; time += 1) {
    const image = Promise.withResolvers<void>();
    const seen = Promise.withResolvers<void>();
    let looks = 0;
    world.pull = async () => {
      await image.promise;
      return { id: "sha256:1", digests: [], bytes: 1, stale: false };
    };
    // Looks: before RUNNING, before the download, and then, for a block that came meanwhile, during it.
    world.observe = async () => {
      looks += 1;
      if (looks === 2) world.mine();
      if (looks === 3) await seen.promise;
      return active();
    };
    const engine = new ReplicateEngine(world.ports(), { onAlarm: () => undefined, backoff: newBackoff });
    engine.drive(TASK);
    await world.until("a look at the chain during the download", () => looks === 3);
    image.resolve();
    await world.until("the end of the download", () => world.statuses.includes("APP_DOWNLOADED"));
    for (let turn = 0; turn < 3; turn += 1) {
      await delay(1);
      collect();
    }
    seen.resolve();
    await world.until("the next stage", () => world.statuses.includes("DATA_DOWNLOADED"), 2_000);
    await engine.close();
    world.close();
    world = new World();
  }
});
