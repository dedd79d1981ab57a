import type { HubConfiguration } from "@iexec-ts/chain";
import { LABELS } from "@iexec-ts/sandbox";
import Docker from "dockerode";
import { z } from "zod";
import { type Rig, startRig } from "../rig/rig.ts";

const eventSchema = z.looseObject({
  Action: z.string(),
  Actor: z.looseObject({ ID: z.string(), Attributes: z.record(z.string(), z.string()).optional() }),
});

/** What the scenarios of this set share. */
export interface Lab {
  readonly rig: Rig;
  readonly docker: Docker;
  /** Id of a category whose period is PERIOD_S. */
  readonly shortCategory: bigint;
  readonly hub: HubConfiguration["address"];
  /** How often a container of this task was started since the set began. */
  starts(taskId: string): number;
  /** Calls back at each end of a container of this task. */
  onEnd(taskId: string, listener: () => void): () => void;
  rpc(method: string, ...params: unknown[]): Promise<unknown>;
  /** One after the other. */
  exclusive<T>(work: () => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** Of the short category: 7 periods to contribute, 2 to reveal, 10 in all. */
export const PERIOD_S = 60;
/** Ends every task of the set, whatever its category: more than 10 periods of the longest one used. */
export const PAST_EVERYTHING_S = 3_600;

/** SIDE EFFECTS: a network with one unused wallet per scenario; follows the engine's events. */
export async function openLab(wallets: number, signal: AbortSignal): Promise<Lab> {
  // Nobody counts as lost here: how the scheduler replaces a lost worker is not what these scenarios are about.
  const rig = await startRig({ wallets, lostAfterMs: 900_000 }, signal);
  const docker = new Docker();
  const starts = new Map<string, number>();
  const ends = new Map<string, Set<() => void>>();
  let turn: Promise<unknown> = Promise.resolve();
  try {
    const stream = await docker.getEvents({ filters: { type: ["container"], event: ["start", "die"], label: [LABELS.task] } });
    let rest = "";
    stream.on("data", (chunk: Buffer) => {
      const lines = `${rest}${chunk.toString("utf8")}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line.trim() === "") continue;
        const { Action, Actor } = eventSchema.parse(JSON.parse(line));
        const task = Actor.Attributes?.[LABELS.task];
        if (task === undefined) continue;
        if (Action === "start") starts.set(task, (starts.get(task) ?? 0) + 1);
        else for (const listener of ends.get(task) ?? []) listener();
      }
    });
    const shortCategory = await rig.chain.createCategory("short", BigInt(PERIOD_S));
    const lab: Lab = {
      rig,
      docker,
      shortCategory,
      hub: rig.chain.hub,
      starts: (taskId) => starts.get(taskId) ?? 0,
      onEnd(taskId, listener) {
        const listeners = ends.get(taskId) ?? new Set();
        ends.set(taskId, listeners.add(listener));
        return () => listeners.delete(listener);
      },
      async rpc(method, ...params) {
        const response = await fetch(rig.chain.rpcUrl, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
        });
        const answer = z
          .looseObject({ result: z.unknown(), error: z.unknown() })
          .partial()
          .parse(await response.json());
        if (answer.error !== undefined) throw new Error(`${method}: ${JSON.stringify(answer.error)}`);
        return answer.result;
      },
      exclusive(work) {
        const mine = turn.then(work);
        turn = mine.catch(() => undefined);
        return mine;
      },
      async close() {
        await turn;
        stream.removeAllListeners();
        if ("destroy" in stream && typeof stream.destroy === "function") stream.destroy();
        await rig.close();
      },
    };
    return lab;
  } catch (thrown) {
    await rig.close();
    throw thrown;
  }
}
