import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "@iexec-ts/service";
import type { Watched } from "./watched.ts";

export interface Kill {
  readonly at: string;
  readonly who: string;
  readonly restartedAfterMs: number;
}

const EVERY_MS = 60_000;
const DOWN_MS = { least: 2_000, spread: 4_000 };

/**
 * SIGKILLs one process of the soak each minute and starts it again a few seconds later, until `over`; what it has killed by then it
 * still starts again.
 *
 * @param stop - ends it at once, and nothing is started any more
 */
export async function killEachMinute(
  watched: readonly Watched[],
  deps: { readonly random: Random; readonly say: (text: string) => void; readonly over: AbortSignal; readonly stop: AbortSignal },
): Promise<readonly Kill[]> {
  const { random, say, over, stop } = deps;
  const kills: Kill[] = [];
  while (!over.aborted) {
    // Aborted with the buying, which is also aborted with everything.
    await delay(EVERY_MS, undefined, { signal: over }).catch(() => undefined);
    if (over.aborted) break;
    const victim = watched[Math.floor(random.float() * watched.length)];
    if (victim === undefined) break;
    const restartedAfterMs = Math.round(DOWN_MS.least + random.float() * DOWN_MS.spread);
    await victim.kill();
    say(`killed ${victim.name}; it starts again in ${restartedAfterMs} ms`);
    kills.push({ at: new Date().toISOString(), who: victim.name, restartedAfterMs });
    await delay(restartedAfterMs, undefined, { signal: stop });
    victim.start();
  }
  return kills;
}
