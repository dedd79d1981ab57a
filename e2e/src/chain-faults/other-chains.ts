import { type Rig, type RigOptions, startRig } from "../rig/rig.ts";
import type { Scenario } from "../scenario.ts";
import { play } from "./play.ts";

const LIMIT_MS = 300_000;
const GWEI = 1_000_000_000n;

async function onItsOwn(options: RigOptions, signal: AbortSignal, run: (rig: Rig) => Promise<string>): Promise<string> {
  const rig = await startRig(options, signal);
  try {
    return await run(rig);
  } finally {
    await rig.close();
  }
}

/** Chains with other fees: each has a network of its own. */
export const CHAIN_SCENARIOS: readonly Scenario<Rig>[] = [
  {
    id: "legacy-fees",
    timeoutMs: LIMIT_MS,
    run: (_rig, signal) =>
      onItsOwn({ wallets: 1, chain: { native: true, gasPrice: 5n * GWEI } }, signal, (rig) =>
        play(
          rig,
          {
            async act({ untilActive, untilPooled, untilRecord }) {
              await untilActive();
              await untilPooled("contribute");
              const { attempts } = await untilRecord("contribute", "sent", () => true);
              const [attempt] = attempts;
              if (attempt?.maxFeePerGas !== (5n * GWEI * 13n) / 10n)
                throw new Error(`the offer is ${attempt?.maxFeePerGas}, not 1.3 times 5 gwei`);
              if (attempt.raw.startsWith("0x02")) throw new Error("a chain without a base fee was given an EIP-1559 transaction");
              return "no base fee on this chain: paid 1.3 times its gas price";
            },
          },
          signal,
        ),
      ),
  },
  {
    id: "gas-for-nothing",
    timeoutMs: LIMIT_MS,
    run: (_rig, signal) =>
      onItsOwn({ wallets: 1, chain: { native: true }, funds: { workerEther: 0n } }, signal, (rig) =>
        play(
          rig,
          {
            async act({ untilActive, untilPooled, worker }) {
              await untilActive();
              await untilPooled("contribute");
              const coins = await rig.network.hub.nativeBalance(worker.address);
              if (coins !== 0n) throw new Error(`the wallet holds ${coins} wei`);
              return "a wallet without a coin did a task on a chain whose gas price is 0";
            },
          },
          signal,
        ),
      ),
  },
];
