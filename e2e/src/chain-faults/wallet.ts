import { wei } from "@iexec-ts/poco";
import { readKeystore } from "@iexec-ts/service";
import { privateKeyToAccount } from "viem/accounts";
import type { Rig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { Scenario } from "../scenario.ts";
import { GAS_PRICE_CAP } from "./oracles.ts";
import { play } from "./play.ts";

const LIMIT_MS = 240_000;
const FOREIGN_GAS = 21_000n;
const REFILL = wei(10n ** 18n);

/** Somebody who has the worker's key sends a transfer of nothing. */
async function sendAs(worker: WorkerProcess, rig: Rig, nonce: number): Promise<void> {
  const { IEXEC_WORKER_WALLET_PATH: path = "", IEXEC_WORKER_WALLET_PASSWORD: password = "" } = worker.env;
  const wallet = await readKeystore(path, password);
  const account = privateKeyToAccount(wallet.privateKey.reveal());
  const { client, chainId } = rig.chain;
  const serializedTransaction = await account.signTransaction({
    type: "legacy",
    chainId,
    nonce,
    to: worker.address,
    value: 0n,
    gas: FOREIGN_GAS,
    gasPrice: GAS_PRICE_CAP,
  });
  await client.sendRawTransaction({ serializedTransaction });
}

/** What somebody else, or nobody, does to the worker's wallet. */
export const WALLET_SCENARIOS: readonly Scenario<Rig>[] = [
  {
    id: "foreign-nonce-before",
    timeoutMs: LIMIT_MS,
    run: (rig, signal) =>
      play(
        rig,
        {
          foreign: 1,
          async act({ untilActive, weather, worker, untilPooled }) {
            await untilActive();
            await sendAs(worker, rig, await rig.chain.client.getTransactionCount({ address: worker.address }));
            await weather.mine();
            await untilPooled("contribute");
            return "a foreign transaction used the next nonce before it was signed";
          },
        },
        signal,
      ),
  },
  {
    id: "foreign-nonce-between",
    timeoutMs: LIMIT_MS,
    run: (rig, signal) =>
      play(
        rig,
        {
          foreign: 1,
          async act({ untilActive, untilPooled, untilRecord, weather, worker }) {
            await untilActive();
            await untilPooled("contribute");
            const before = await untilRecord("contribute", "sent", ({ state }) => state === "sent");
            await sendAs(worker, rig, before.nonce ?? 0);
            await weather.mine();
            const after = await untilRecord("contribute", "signed again", ({ state, nonce }) => state === "sent" && nonce !== before.nonce);
            await untilPooled("contribute");
            return `a foreign transaction took nonce ${before.nonce} of the one that waited; signed again with ${after.nonce}`;
          },
        },
        signal,
      ),
  },
  {
    id: "gas-exhausted-before-reveal",
    timeoutMs: LIMIT_MS,
    run: (rig, signal) =>
      play(
        rig,
        {
          async act({ untilActive, untilPooled, until, weather, worker, node, taskId }) {
            await untilActive();
            await untilPooled("contribute");
            node.faults.down = true;
            node.cutSockets();
            await weather.mine();
            await weather.balance(worker.address, wei(1n));
            node.heal();
            await until("OUT_OF_GAS", () => worker.history(taskId).find(({ status }) => status === "OUT_OF_GAS"));
            await weather.mine(2);
            await weather.balance(worker.address, REFILL);
            await weather.mine();
            await untilPooled("reveal");
            return "the wallet was empty when the reveal was due; refilled, it revealed";
          },
        },
        signal,
      ),
  },
];
