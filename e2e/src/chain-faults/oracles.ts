import { type Address, HUB_ABI, nanoRlc, type TaskId } from "@iexec-ts/poco";
import { getAbiItem, type Transaction } from "viem";
import type { Rig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import { readOutbox } from "./outbox-view.ts";

/** 22 gwei: the guide's default for IEXEC_GAS_PRICE_CAP. */
export const GAS_PRICE_CAP = 22_000_000_000n;

export interface Before {
  readonly block: bigint;
  readonly stake: bigint;
}

export async function before(rig: Rig, worker: Address): Promise<Before> {
  const [block, account] = await Promise.all([rig.chain.client.getBlockNumber(), rig.network.hub.account(worker)]);
  return { block, stake: account.stake };
}

function insist(what: string, holds: boolean): void {
  if (!holds) throw new Error(`broken promise: ${what}`);
}

/**
 * What must be true after a task, however the chain has behaved: one contribution, one reveal, nothing reverted, nothing paid above the cap,
 * no hole in the line of nonces, the stake back and the reward paid.
 *
 * @param foreign - transactions somebody else has sent from the wallet
 */
export async function assertSound(
  rig: Rig,
  worker: WorkerProcess,
  taskId: TaskId,
  since: Before,
  foreign: number,
  signal: AbortSignal,
): Promise<void> {
  const { address } = worker;
  const { client, hub } = rig.chain;
  await rig.untilChain(taskId, "COMPLETED", signal);
  const args = { taskid: taskId, worker: address };
  const range = { address: hub, fromBlock: 0n, toBlock: "latest" } as const;
  const [contributions, reveals, account, count] = await Promise.all([
    client.getLogs({ ...range, event: getAbiItem({ abi: HUB_ABI, name: "TaskContribute" }), args }),
    client.getLogs({ ...range, event: getAbiItem({ abi: HUB_ABI, name: "TaskReveal" }), args }),
    rig.network.hub.account(address),
    client.getTransactionCount({ address }),
  ]);
  insist(`one contribution, there are ${contributions.length}`, contributions.length === 1);
  insist(`one reveal, there are ${reveals.length}`, reveals.length === 1);
  insist(`no stake is locked, ${account.locked} is`, account.locked === nanoRlc(0n));
  insist(`the worker is paid: it held ${since.stake}, now ${account.stake}`, account.stake > since.stake);

  const sent = await transactionsOf(rig, address, since.block);
  for (const { hash } of sent) {
    const { status, effectiveGasPrice } = await client.getTransactionReceipt({ hash });
    insist(`nothing reverts, ${hash} did`, status === "success");
    insist(`nothing is paid above the cap, ${effectiveGasPrice} was`, effectiveGasPrice <= GAS_PRICE_CAP);
  }
  const nonces = sent.map(({ nonce }) => nonce).sort((a, b) => a - b);
  const first = nonces[0] ?? 0;
  insist(
    `the nonces have no hole: ${nonces.join(" ")} of ${count}`,
    nonces.every((nonce, i) => nonce === first + i) && first + nonces.length === count,
  );
  insist(`two transactions and ${foreign} of others, there are ${sent.length}`, sent.length === 2 + foreign);

  const records = await readOutbox(worker);
  for (const { intent, attempts } of records) {
    for (const { maxFeePerGas } of attempts) {
      insist(`no offer above the cap: ${maxFeePerGas} for ${intent.id}`, maxFeePerGas <= GAS_PRICE_CAP);
    }
  }
}

async function transactionsOf(rig: Rig, from: Address, since: bigint): Promise<readonly Transaction[]> {
  const { client } = rig.chain;
  const found: Transaction[] = [];
  const head = await client.getBlockNumber();
  for (let blockNumber = since + 1n; blockNumber <= head; blockNumber += 1n) {
    const { transactions } = await client.getBlock({ blockNumber, includeTransactions: true });
    found.push(...transactions.filter((tx) => tx.from.toLowerCase() === from));
  }
  return found;
}
