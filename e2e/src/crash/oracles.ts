import { existsSync } from "node:fs";
import { canFollow, HUB_ABI, type ReplicateStatus, sameHex } from "@iexec-ts/poco";
import { parseEventLogs } from "viem";
import type { Ordeal } from "./ordeal.ts";

/** How a task ended for its worker. What is left out: completed, paid, one contribution, one reveal, one run of the app. */
export interface Expected {
  readonly end?: ReplicateStatus;
  readonly contributions?: number;
  readonly reveals?: number;
  /** Transactions of this wallet that are none of the worker's. */
  readonly foreign?: number;
  /** `paid`: more stake than before; `kept`: exactly as much as before. Locked stake is never left. */
  readonly stake?: "paid" | "kept";
  readonly runs?: number;
  /** False where the scheduler closed the replicate before the worker came back: their histories differ then. */
  readonly told?: boolean;
}

const fail = (what: string): never => {
  throw new Error(what);
};

/** Everything that must hold once a task is over; returns what was seen, in a few words. */
export async function judge(it: Ordeal, expected: Expected): Promise<string> {
  const { end = "COMPLETED", contributions = 1, reveals = 1, foreign = 0, stake = "paid", runs = 1, told = true } = expected;
  const { statuses } = it;
  if (!statuses.includes(end)) fail(`${end} expected, the journal says ${statuses.join(" ")}`);
  checkLegal(it);
  const apart = told ? await disagreement(it) : undefined;
  if (apart !== undefined) fail(apart);
  await checkChain(it, { contributions, reveals, foreign });
  await checkStake(it, stake);
  await checkHost(it);
  const counted = it.lab.starts(it.taskId);
  if (counted !== runs) fail(`the app was started ${counted} times, not ${runs}`);
  return `${end}, ${contributions} contribution, ${reveals} reveal, ${counted} run of the app, stake ${stake}`;
}

/** Each step of the journal is one the table of statuses knows. */
function checkLegal(it: Ordeal): void {
  const history = it.worker.history(it.taskId);
  if (history[0]?.status !== "CREATED") fail(`the journal starts with ${history[0]?.status}`);
  for (const [index, { status, seq }] of history.entries()) {
    const previous = history[index - 1];
    if (seq !== index) fail(`status ${status} has number ${seq}, not ${index}`);
    if (previous !== undefined && !canFollow(previous.status, status)) fail(`the journal went from ${previous.status} to ${status}`);
  }
}

/** Statuses that only one side sees, and repetitions after a restart, left out. */
function essence(statuses: readonly ReplicateStatus[]): string {
  const own = statuses.filter((status) => status !== "RECOVERING" && status !== "WORKER_LOST");
  return own.filter((status, index) => status !== own[index - 1]).join(" ");
}

/** What journal and scheduler do not agree on. The scheduler may add FAILED, which closes what can no longer complete. */
export async function disagreement(it: Ordeal): Promise<string | undefined> {
  const task = await it.lab.rig.poolTask(it.taskId);
  const replicate = task?.replicates.find(({ wallet }) => wallet === it.worker.address);
  // What the scheduler had from the chain already is said once more by the worker, late: the same step, not another one.
  const said = (replicate?.history ?? []).filter(
    ({ status, late }, index, all) => !(late && all.slice(0, index).some((earlier) => earlier.status === status)),
  );
  const theirs = essence(said.map(({ status }) => status));
  const ours = essence(it.statuses);
  return theirs === ours || theirs === `${ours} FAILED` ? undefined : `the scheduler saw ${theirs}, the journal says ${ours}`;
}

async function checkChain(it: Ordeal, expected: { contributions: number; reveals: number; foreign: number }): Promise<void> {
  const { client } = it.lab.rig.chain;
  const logs = parseEventLogs({ abi: HUB_ABI, logs: await client.getLogs({ address: it.lab.hub, fromBlock: it.fromBlock }) });
  const ours = (name: "TaskContribute" | "TaskReveal") =>
    logs.filter((log) => log.eventName === name && sameHex(log.args.taskid, it.taskId) && sameHex(log.args.worker, it.worker.address))
      .length;
  if (ours("TaskContribute") !== expected.contributions)
    fail(`${ours("TaskContribute")} contributions on chain, not ${expected.contributions}`);
  if (ours("TaskReveal") !== expected.reveals) fail(`${ours("TaskReveal")} reveals on chain, not ${expected.reveals}`);

  const sent = await transactionsOf(it);
  const nonces = sent.map(({ nonce }) => nonce).sort((a, b) => a - b);
  if (nonces.some((nonce, index) => nonce !== index)) fail(`nonces ${nonces.join(" ")} have a gap`);
  const wanted = expected.contributions + expected.reveals + expected.foreign;
  if (sent.length !== wanted) fail(`${sent.length} transactions of the wallet were mined, not ${wanted}`);
  for (const { hash } of sent) {
    if ((await client.getTransactionReceipt({ hash })).status !== "success") fail(`transaction ${hash} was reverted`);
  }
}

async function transactionsOf(it: Ordeal): Promise<{ readonly nonce: number; readonly hash: `0x${string}` }[]> {
  const { client } = it.lab.rig.chain;
  const last = await client.getBlockNumber({ cacheTime: 0 });
  const found: { nonce: number; hash: `0x${string}` }[] = [];
  for (let number = it.fromBlock; number <= last; number += 1n) {
    const block = await client.getBlock({ blockNumber: number, includeTransactions: true });
    for (const { from, nonce, hash } of block.transactions) if (sameHex(from, it.worker.address)) found.push({ nonce, hash });
  }
  return found;
}

async function checkStake(it: Ordeal, wanted: "paid" | "kept"): Promise<void> {
  const account = await it.lab.rig.network.hub.account(it.worker.address);
  if (account.locked !== 0n) fail(`${account.locked} nRLC are still locked`);
  const grown = account.stake - it.before.stake;
  if (wanted === "paid" ? grown <= 0n : grown !== 0n) fail(`the stake changed by ${grown} nRLC`);
}

/** No container, no network and no folder is left on this host. */
async function checkHost(it: Ordeal): Promise<void> {
  const filters = { label: [`iexec.worker=${it.worker.address}`] };
  const containers = await it.lab.docker.listContainers({ all: true, filters });
  if (containers.length > 0) fail(`containers left: ${containers.map(({ Names }) => Names.join()).join()}`);
  const networks = await it.lab.docker.listNetworks({ filters });
  if (networks.length > 0) fail(`networks left: ${networks.map(({ Name }) => Name).join()}`);
  if (existsSync(it.folder)) fail(`the folder ${it.folder} is left`);
}
