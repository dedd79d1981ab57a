import { readFileSync } from "node:fs";
import { readKeystore } from "@iexec-ts/service";
import { privateKeyToAccount } from "viem/accounts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { Scenario } from "../scenario.ts";
import { type Lab, PERIOD_S } from "./lab.ts";
import { beside, type Ordeal, ordeal } from "./ordeal.ts";

const LONG = 420_000;
const A_PERSON_MUST_ACT = 3;

/** Runs a process that must refuse by itself. */
async function expectRefusal(other: WorkerProcess, code: string): Promise<void> {
  other.start();
  try {
    const exit = await other.exited;
    const log = readFileSync(other.logPath, "utf8");
    if (exit !== A_PERSON_MUST_ACT || !log.includes(code)) throw new Error(`ended with ${exit}, not with ${code}: ${log.slice(-300)}`);
  } finally {
    await other.kill();
  }
}

/** SIDE EFFECTS: a transfer of nothing from the worker's wallet, behind its back. */
async function useWallet(it: Ordeal): Promise<void> {
  const { IEXEC_WORKER_WALLET_PATH = "", IEXEC_WORKER_WALLET_PASSWORD = "" } = it.worker.env;
  const wallet = await readKeystore(IEXEC_WORKER_WALLET_PATH, IEXEC_WORKER_WALLET_PASSWORD);
  const account = privateKeyToAccount(wallet.privateKey.reveal());
  await it.lab.rig.chain.sender.send(account, { what: "foreign transfer", to: account.address });
}

/** What happens around the worker: scheduler, wallet, twins, clock. */
export const HOST_WINDOWS: readonly Scenario<Lab>[] = [
  {
    id: "W21-scheduler-restarts",
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { args: "SLEEP=3 TEXT=steady" }, async (it) => {
        await it.recorded("COMPUTING");
        const { pid } = it.worker;
        await lab.rig.network.restartScheduler();
        const seen = await it.ends({});
        if (it.worker.pid !== pid || it.statuses.includes("RECOVERING")) throw new Error("the worker was restarted");
        return `a new scheduler took over while the app ran; the worker logged in again in place; ${seen}`;
      }),
  },
  {
    id: "W26-wallet-changed",
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { crashAt: "W11" }, async (it) => {
        await it.killed();
        const { IEXEC_WORKER_WALLET_PATH = "" } = lab.rig.worker().env;
        await expectRefusal(beside(it, { IEXEC_WORKER_WALLET_PATH }, "other-wallet"), "WRK-1302");
        it.resume();
        return `another wallet was refused with WRK-1302; ${await it.ends({})}`;
      }),
  },
  {
    id: "W27-one-wallet-twice",
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { args: "SLEEP=8 TEXT=steady", crashAt: "W11" }, async (it) => {
        await it.recorded("COMPUTING");
        await expectRefusal(beside(it, {}, "same-folder"), "WRK-1001");
        await it.killed();
        // On another machine the lock is not seen: the chain shows what the other one did.
        const elsewhere = { IEXEC_WORKER_STATE_DIR: `${it.worker.env.IEXEC_WORKER_STATE_DIR}-elsewhere` };
        await expectRefusal(beside(it, elsewhere, "elsewhere"), "WRK-1305");
        await useWallet(it);
        it.resume();
        const seen = await it.ends({ foreign: 1 });
        if (!it.log.includes("WRK-1315")) throw new Error("nobody noticed that the wallet was used by somebody else");
        return `same folder WRK-1001, other folder WRK-1305, foreign transaction WRK-1315; ${seen}`;
      }),
  },
  {
    id: "W30-clocks-differ",
    timeoutMs: LONG,
    run: async (lab, signal) => {
      const ahead = await ordeal(lab, signal, { crashAt: "W05" }, async (it) => {
        await it.killed();
        await lab.rig.chain.increaseTime(250);
        it.resume();
        return it.ends({});
      });
      const late = await ordeal(
        lab,
        signal,
        { args: "SLEEP=45 TEXT=late", crashAt: "W04", order: { category: lab.shortCategory } },
        async (it) => {
          await it.killed();
          // By the host's clock there is time left for everything; by the chain's there is none.
          await lab.rig.chain.increaseTime(7 * PERIOD_S);
          it.resume();
          await it.recorded("ABORTED_ON_CONTRIBUTION_TIMEOUT");
          await lab.rig.chain.increaseTime(4 * PERIOD_S);
          return it.ends({ end: "ABORTED_ON_CONTRIBUTION_TIMEOUT", contributions: 0, reveals: 0, stake: "kept" });
        },
      );
      return `chain ahead of the host: ${ahead}; over by the chain's clock only: ${late}`;
    },
  },
];
