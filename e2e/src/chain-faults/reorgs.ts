import type { Rig } from "../rig/rig.ts";
import type { Scenario } from "../scenario.ts";
import { play, type Stage, type TxKind } from "./play.ts";

const LIMIT_MS = 240_000;

/** Mines `kind` with depth-1 blocks on top, takes all of them back, and sees it sent again. */
async function dropped(stage: Stage, kind: TxKind, depth: number): Promise<string> {
  const { weather, untilPooled, untilRecord } = stage;
  const hash = await untilPooled(kind);
  await weather.mine(depth);
  await untilRecord(kind, "mined", ({ state }) => state === "mined");
  const height = await weather.height();
  const old = await weather.blockHash(height);
  await weather.reorg(depth);
  if ((await weather.blockHash(height)) === old) throw new Error("the reorganisation did not happen");
  await untilPooled(kind);
  return hash;
}

const contribution = (depth: number): Scenario<Rig> => ({
  id: `reorg-contribute-${depth}`,
  short: depth === 1,
  timeoutMs: LIMIT_MS,
  run: (rig, signal) =>
    play(
      rig,
      {
        async act(stage) {
          await stage.untilActive();
          await dropped(stage, "contribute", depth);
          return `a reorganisation of ${depth} dropped the contribution after the worker had seen it`;
        },
      },
      signal,
    ),
});

const revelation = (depth: number): Scenario<Rig> => ({
  id: `reorg-reveal-${depth}`,
  timeoutMs: LIMIT_MS,
  run: (rig, signal) =>
    play(
      rig,
      {
        async act(stage) {
          await stage.untilActive();
          await stage.untilPooled("contribute");
          await stage.weather.mine();
          await dropped(stage, "reveal", depth);
          return `a reorganisation of ${depth} dropped the reveal after the worker had seen it`;
        },
      },
      signal,
    ),
});

export const REORG_SCENARIOS: readonly Scenario<Rig>[] = [
  ...[1, 2, 3].map(contribution),
  ...[1, 2, 3].map(revelation),
  {
    id: "reorg-both",
    timeoutMs: LIMIT_MS,
    run: (rig, signal) =>
      play(
        rig,
        {
          async act(stage) {
            const { weather, untilActive, untilPooled, untilRecord } = stage;
            await untilActive();
            await untilPooled("contribute");
            await weather.mine();
            await untilPooled("reveal");
            await weather.mine();
            await untilRecord("reveal", "mined", ({ state }) => state === "mined");
            await weather.reorg(2);
            await untilPooled("contribute");
            return "a reorganisation dropped contribution and reveal";
          },
        },
        signal,
      ),
  },
  {
    id: "reveal-waits-for-depth",
    timeoutMs: LIMIT_MS,
    run: (rig, signal) =>
      play(
        rig,
        {
          env: { IEXEC_WORKER_CONFIRMATIONS: "3" },
          async act({ untilActive, untilPooled, weather, worker, taskId }) {
            await untilActive();
            await untilPooled("contribute");
            await weather.mine();
            const consensus = await weather.height();
            await weather.mine();
            await weather.reorg(2);
            await untilPooled("contribute");
            if (worker.history(taskId).some(({ status }) => status === "REVEALING")) throw new Error("revealed too early");
            await weather.mine(3);
            await untilPooled("reveal");
            // The reveal itself counts at the same depth.
            await weather.mine(3);
            return `told to wait for 3 blocks: nothing was revealed of the consensus in block ${consensus}, which was undone`;
          },
        },
        signal,
      ),
  },
  {
    id: "reorg-initialize",
    timeoutMs: LIMIT_MS,
    run: (rig, signal) =>
      play(
        rig,
        {
          async act(stage) {
            const { weather, untilActive, untilPooled, untilRecord, taskId } = stage;
            await untilActive();
            const start = await weather.height();
            await untilPooled("contribute");
            await weather.mine();
            await untilRecord("contribute", "mined", ({ state }) => state === "mined");
            let depth = Number((await weather.height()) - start) + 1;
            for (; (await rig.network.hub.task(taskId, (await weather.height()) - BigInt(depth)))?.status === "ACTIVE"; depth += 1);
            await weather.reorg(depth);
            await untilRecord("contribute", "taken back", ({ state }) => state === "sent");
            return `a reorganisation of ${depth} dropped the task itself with its contribution`;
          },
        },
        signal,
      ),
  },
];
