import type { Rig } from "../rig/rig.ts";
import type { Scenario } from "../scenario.ts";
import { GAS_PRICE_CAP } from "./oracles.ts";
import { play } from "./play.ts";

const LIMIT_MS = 240_000;
const GWEI = 1_000_000_000n;
/** More than what a block may ask without being noticed, less than what makes the scenario long. */
const MANY_BLOCKS = 12;

/** Gas gets dearer while a transaction is on its way. */
export const FEE_SCENARIOS: readonly Scenario<Rig>[] = [
  {
    id: "stuck-tx",
    short: true,
    timeoutMs: LIMIT_MS,
    run: (rig, signal) =>
      play(
        rig,
        {
          async act({ untilActive, untilPooled, untilRecord, until, weather }) {
            await untilActive();
            await untilPooled("contribute");
            const first = await untilRecord("contribute", "sent", ({ attempts }) => attempts.length > 0);
            const offered = first.attempts[0]?.maxFeePerGas ?? 0n;
            const asked = offered + 2n * GWEI;
            for (let block = 0; block < MANY_BLOCKS; block += 1) {
              await weather.baseFee(asked);
              const height = await weather.height();
              const seen = await until("the replacement, or the block", async () => {
                const record = await untilRecord("contribute", "sent", () => true);
                if (record.attempts.length > 1) return record;
                return rig.network.pool.head().number >= height ? "mined" : undefined;
              });
              if (seen !== "mined") break;
            }
            const replaced = await untilRecord("contribute", "replaced", ({ attempts }) => attempts.length > 1);
            if (replaced.nonce !== first.nonce) throw new Error("the replacement has another nonce");
            const [a, b] = replaced.attempts;
            if (a === undefined || b === undefined || b.maxFeePerGas * 8n < a.maxFeePerGas * 9n)
              throw new Error("replaced by less than 12.5 %");
            return `replaced at the same nonce: ${replaced.attempts.map(({ maxFeePerGas }) => maxFeePerGas).join(" then ")} wei`;
          },
        },
        signal,
      ),
  },
  {
    id: "base-fee-above-cap",
    timeoutMs: LIMIT_MS,
    run: (rig, signal) =>
      play(
        rig,
        {
          async act({ untilActive, untilRecord, untilPooled, weather, worker, taskId, rig: { chain } }) {
            await untilActive();
            await weather.baseFee(3n * GAS_PRICE_CAP);
            const waiting = await untilRecord(
              "contribute",
              "waits for a lower price",
              ({ state, note }) => state === "waiting" && note !== undefined,
            );
            if (waiting.attempts.length > 0) throw new Error("something was signed above the cap");
            let blocks = 0;
            for (;;) {
              await weather.mine();
              blocks += 1;
              if (((await chain.client.getBlock()).baseFeePerGas ?? 0n) <= GAS_PRICE_CAP) break;
            }
            await untilPooled("contribute");
            if (worker.history(taskId).some(({ status }) => status === "OUT_OF_GAS"))
              throw new Error("a high price was taken for an empty wallet");
            return `waited ${blocks} blocks: ${waiting.note}`;
          },
        },
        signal,
      ),
  },
  {
    id: "base-fee-above-offer",
    timeoutMs: LIMIT_MS,
    run: (rig, signal) =>
      play(
        rig,
        {
          async act({ untilActive, untilPooled, untilRecord, weather }) {
            await untilActive();
            await untilPooled("contribute");
            for (let block = 0; block < 4; block += 1) await weather.baseFee(2n * GAS_PRICE_CAP);
            const stuck = await untilRecord("contribute", "waits under the cap", ({ note }) => note !== undefined);
            return `already sent, then the base fee rose over the cap: ${stuck.note}`;
          },
        },
        signal,
      ),
  },
];
