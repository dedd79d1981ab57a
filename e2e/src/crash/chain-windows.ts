import { rm } from "node:fs/promises";
import { startHttpFaultProxy, startRpcFaultProxy } from "@iexec-ts/testkit";
import type { Scenario } from "../scenario.ts";
import { type Lab, PERIOD_S } from "./lab.ts";
import { killedAt, type Ordeal, ordeal } from "./ordeal.ts";

const LONG = 420_000;

/** Transactions of the wallet that a node knows: mined, and with those in its pool. */
async function counts(it: Ordeal): Promise<{ readonly mined: number; readonly pending: number }> {
  const { client } = it.lab.rig.chain;
  const { address } = it.worker;
  const [mined, pending] = await Promise.all([
    client.getTransactionCount({ address, blockTag: "latest" }),
    client.getTransactionCount({ address, blockTag: "pending" }),
  ]);
  return { mined, pending };
}

async function expectCounts(it: Ordeal, mined: number, pending: number): Promise<void> {
  const seen = await counts(it);
  if (seen.mined !== mined || seen.pending !== pending) {
    throw new Error(`${seen.mined} transactions mined and ${seen.pending} known, not ${mined} and ${pending}`);
  }
}

const ourStatus = async (it: Ordeal): Promise<string> => (await it.lab.rig.network.hub.contribution(it.taskId, it.worker.address)).status;

const onChain = (it: Ordeal, status: string): Promise<true> =>
  it.until(`a contribution that is ${status}`, async () => ((await ourStatus(it)) === status ? true : undefined));

/** Undoes the newest blocks from the one that holds the wallet's last transaction on. */
async function dropLast(it: Ordeal): Promise<void> {
  const { client } = it.lab.rig.chain;
  const head = await client.getBlockNumber({ cacheTime: 0 });
  const { mined } = await counts(it);
  for (let depth = 1n; depth <= head - it.fromBlock; depth += 1n) {
    const before = await client.getTransactionCount({ address: it.worker.address, blockNumber: head - depth });
    if (before >= mined) continue;
    await it.lab.rpc("anvil_reorg", Number(depth), []);
    return expectCounts(it, mined - 1, mined - 1);
  }
  throw new Error("the wallet has sent nothing");
}

/** From the signed contribution to the paid task: here stake can be lost. */
export const CHAIN_WINDOWS: readonly Scenario<Lab>[] = [
  {
    id: "W09-contribution-sent-not-mined",
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { args: "SLEEP=4 TEXT=steady", crashAt: "W09" }, async (it) => {
        await it.recorded("COMPUTING");
        await lab.rpc("evm_setAutomine", false);
        try {
          await it.killed();
          await expectCounts(it, 0, 0);
          it.resume("W09");
          await it.killed();
          await expectCounts(it, 0, 1);
          it.resume();
          await it.recorded("RECOVERING", 2);
          await it.recorded("CONTRIBUTING", 2);
          await expectCounts(it, 0, 1);
        } finally {
          await lab.rpc("evm_setAutomine", true);
        }
        await lab.rpc("evm_mine");
        return `killed when signed and when sent, never signed twice; ${await it.ends({})}`;
      }),
  },
  {
    id: "W10-contribution-mined-not-recorded",
    timeoutMs: LONG,
    run: killedAt(["W10"], {
      whileDead: async (it) => {
        if ((await ourStatus(it)) !== "CONTRIBUTED" || it.statuses.includes("CONTRIBUTED")) throw new Error("not in the window");
      },
    }),
  },
  {
    id: "W11-folder-deleted-and-scheduler-down",
    timeoutMs: LONG,
    async run(lab, signal) {
      const scheduler = await startHttpFaultProxy(lab.rig.network.schedulerUrl);
      try {
        const env = { IEXEC_CORE_URL: scheduler.url };
        return await ordeal(lab, signal, { crashAt: "W11", env, order: { category: lab.shortCategory } }, async (it) => {
          await it.killed();
          await rm(it.folder, { recursive: true });
          scheduler.faults.down = true;
          it.resume();
          await onChain(it, "PROVED");
          await it.recorded("REVEALED");
          scheduler.heal();
          await it.recorded("RESULT_UPLOAD_FAILED");
          await lab.rig.chain.increaseTime(10 * PERIOD_S);
          const seen = await it.ends({ end: "FAILED", stake: "kept" });
          return `revealed from the journal alone, without folder and scheduler; result lost, stake back; ${seen}`;
        });
      } finally {
        await scheduler.stop();
      }
    },
  },
  {
    id: "W12-down-past-the-reveal-deadline",
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { crashAt: "W11", order: { category: lab.shortCategory } }, async (it) => {
        await it.killed();
        await lab.rig.chain.increaseTime(2 * PERIOD_S + 30);
        await it.until("the scheduler's REVEAL_TIMEOUT", async () =>
          (await lab.rig.poolTask(it.taskId))?.replicates[0]?.history.some(({ status }) => status === "REVEAL_TIMEOUT") === true
            ? true
            : undefined,
        );
        it.resume();
        await it.recorded("REVEAL_TIMEOUT");
        await it.until("the operator is told", () => (it.log.includes("WRK-1316") ? true : undefined));
        // Nobody is left to compute it again: the requester's claim gives back every stake, ours included.
        await lab.rig.chain.increaseTime(10 * PERIOD_S);
        await it.until("unlocked stake", async () =>
          (await lab.rig.network.hub.account(it.worker.address)).locked === 0n ? true : undefined,
        );
        const seen = await it.ends({ end: "REVEAL_TIMEOUT", reveals: 0, stake: "kept", told: false });
        return `missed while off, as the table says; REVEAL_TIMEOUT on both sides, WRK-1316 with the advice in the log; ${seen}`;
      }),
  },
  {
    id: "W13-scheduler-down-in-the-reveal-window",
    short: true,
    timeoutMs: LONG,
    async run(lab, signal) {
      const scheduler = await startHttpFaultProxy(lab.rig.network.schedulerUrl);
      try {
        return await ordeal(lab, signal, { args: "SLEEP=3 TEXT=steady", env: { IEXEC_CORE_URL: scheduler.url } }, async (it) => {
          await it.recorded("COMPUTING");
          scheduler.faults.down = true;
          scheduler.cutSockets();
          await onChain(it, "PROVED");
          await it.recorded("REVEALED");
          scheduler.heal();
          return `contributed and revealed while the scheduler could not be reached; ${await it.ends({})}`;
        });
      } finally {
        await scheduler.stop();
      }
    },
  },
  {
    id: "W14-reveal-sent-not-mined",
    short: true,
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { crashAt: "W11" }, async (it) => {
        await it.killed();
        await lab.rpc("evm_setAutomine", false);
        try {
          it.resume("W14");
          await it.killed();
          await expectCounts(it, 1, 1);
          it.resume("W14");
          await it.killed();
          await expectCounts(it, 1, 2);
          // The price rises above what was offered: the same bytes would never be mined.
          it.resume();
          await it.recorded("RECOVERING", 3);
          while ((await ourStatus(it)) !== "PROVED") {
            signal.throwIfAborted();
            await lab.rpc("anvil_setNextBlockBaseFeePerGas", "0x12a05f200");
            await lab.rpc("evm_mine");
            await new Promise((resolve) => setTimeout(resolve, 300));
          }
        } finally {
          await lab.rpc("evm_setAutomine", true);
        }
        return `killed when signed and when sent, replaced at the same nonce when the price rose; ${await it.ends({})}`;
      }),
  },
  {
    id: "W15-out-of-gas-at-the-reveal",
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { crashAt: "W11" }, async (it) => {
        await it.killed();
        const balance = await lab.rig.network.hub.nativeBalance(it.worker.address);
        await lab.rpc("anvil_setBalance", it.worker.address, "0x0");
        it.resume();
        await it.recorded("OUT_OF_GAS");
        await lab.rig.chain.mine(3);
        if ((await ourStatus(it)) !== "CONTRIBUTED") throw new Error("revealed without gas");
        await lab.rpc("anvil_setBalance", it.worker.address, `0x${balance.toString(16)}`);
        await lab.rig.chain.mine();
        return `waited in OUT_OF_GAS without ending, went on when refilled; ${await it.ends({})}`;
      }),
  },
  {
    id: "W16-revealed-not-recorded",
    timeoutMs: LONG,
    run: killedAt(["W16"], {
      whileDead: async (it) => {
        if ((await ourStatus(it)) !== "PROVED" || it.statuses.includes("REVEALED")) throw new Error("not in the window");
      },
    }),
  },
  { id: "W17-upload-pending", timeoutMs: LONG, run: killedAt(["W17"]) },
  {
    id: "W18-uploaded-not-recorded",
    timeoutMs: LONG,
    run: killedAt(["W18"], {
      whileDead: async (it) => {
        const stored = await fetch(`${it.lab.rig.network.resultProxyUrl}/v1/results/${it.taskId}/ipfshash`);
        if (stored.status !== 200) throw new Error(`the result is not stored: ${stored.status}`);
      },
    }),
  },
  {
    // This worker has no TEE and so no contributeAndFinalize; its own twin of this window: uploaded and recorded, nothing said.
    id: "W19-standard-twin-uploaded-not-reported",
    timeoutMs: LONG,
    run: async (lab, signal) =>
      `contributeAndFinalize is not offered (no TEE); checked instead: the link is recorded and not reported; ${await killedAt(["W19"])(lab, signal)}`,
  },
  {
    // The same: the task is finalized on chain, and the worker dies before it has written that down.
    id: "W20-standard-twin-finalized-not-recorded",
    timeoutMs: LONG,
    run: async (lab, signal) =>
      `contributeAndFinalize is not offered (no TEE); checked instead: finalized and not recorded; ${await killedAt(["W20"], {
        whileDead: async (it) => {
          const task = await lab.rig.network.hub.task(it.taskId);
          if (task?.status !== "COMPLETED" || it.statuses.includes("COMPLETED")) throw new Error("not in the window");
        },
      })(lab, signal)}`,
  },
  {
    id: "W28-reorganisation",
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { crashAt: "W10" }, async (it) => {
        await it.killed();
        await dropLast(it);
        it.resume("W16");
        await it.killed();
        await dropLast(it);
        it.resume();
        return `the contribution and then the reveal were dropped by the chain and sent again; ${await it.ends({})}`;
      }),
  },
  {
    id: "W29-node-behind",
    timeoutMs: LONG,
    async run(lab, signal) {
      const node = await startRpcFaultProxy(lab.rig.chain.rpcUrl);
      try {
        const env = { IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS: `${node.url},${lab.rig.chain.rpcUrl}` };
        return await ordeal(lab, signal, { crashAt: "W10", env }, async (it) => {
          await it.killed();
          // The best node of the list knows neither the contribution nor its receipt, and swallows what is sent to it.
          node.faults.staleAt = it.fromBlock;
          node.faults.nullReceipts = true;
          node.faults.sendRawTransaction = "drop";
          it.resume();
          return `the first node of the list was behind and lost what it was sent; ${await it.ends({})}`;
        });
      } finally {
        await node.stop();
      }
    },
  },
];
