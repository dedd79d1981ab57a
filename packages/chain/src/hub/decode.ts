import {
  type Account,
  type Address,
  type Bytes32,
  CHAIN_TASK_STATUSES,
  type ChainTask,
  type ChainTaskStatus,
  CONTRIBUTION_STATUSES,
  type Contribution,
  type ContributionStatus,
  chainTime,
  type Deal,
  type DealId,
  type HUB_ABI,
  nanoRlc,
  type TaskId,
} from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { type ContractFunctionReturnType, type Hex, hexToString, zeroHash } from "viem";
import type { AppRecord, DatasetRecord, WorkerpoolRecord } from "../api.ts";

type Answer<Name extends "viewTask" | "viewDeal" | "viewContribution" | "viewAccount"> = ContractFunctionReturnType<
  typeof HUB_ABI,
  "view",
  Name
>;

export const lowerCase = (hex: Hex): Hex => `0x${hex.slice(2).toLowerCase()}`;

/** Undefined when the contract does not know the deal. @source viewDeal: unknown ids give zeros */
export function toDeal(id: DealId, raw: Answer<"viewDeal">): Deal | undefined {
  if (raw.startTime === 0n) return undefined;
  return {
    id: lowerCase(id),
    app: toAsset(raw.app),
    dataset: toAsset(raw.dataset),
    workerpool: toAsset(raw.workerpool),
    trust: raw.trust,
    category: raw.category,
    tag: lowerCase(raw.tag),
    requester: lowerCase(raw.requester),
    beneficiary: lowerCase(raw.beneficiary),
    callback: lowerCase(raw.callback),
    params: raw.params,
    startTime: chainTime(raw.startTime),
    botFirst: raw.botFirst,
    botSize: raw.botSize,
    workerStake: nanoRlc(raw.workerStake),
    schedulerRewardRatio: raw.schedulerRewardRatio,
    sponsor: lowerCase(raw.sponsor),
  };
}

const toAsset = ({ pointer, owner, price }: { readonly pointer: Address; readonly owner: Address; readonly price: bigint }) => ({
  pointer: lowerCase(pointer),
  owner: lowerCase(owner),
  price: nanoRlc(price),
});

/** Undefined when the contract does not know the task. @source viewTask: unknown ids give zeros */
export function toTask(id: TaskId, raw: Answer<"viewTask">): ChainTask | undefined {
  if (raw.dealid === zeroHash) return undefined;
  return {
    id: lowerCase(id),
    status: taskStatus(raw.status),
    dealId: lowerCase(raw.dealid),
    index: raw.idx,
    timeref: raw.timeref,
    contributionDeadline: chainTime(raw.contributionDeadline),
    revealDeadline: chainTime(raw.revealDeadline),
    finalDeadline: chainTime(raw.finalDeadline),
    consensusValue: lowerCase(raw.consensusValue),
    revealCounter: raw.revealCounter,
    winnerCounter: raw.winnerCounter,
    contributors: raw.contributors.map(lowerCase),
    resultDigest: lowerCase(raw.resultDigest),
    results: lowerCase(raw.results),
    resultsCallback: lowerCase(raw.resultsCallback),
  };
}

export function toContribution(raw: Answer<"viewContribution">): Contribution {
  return {
    status: contributionStatus(raw.status),
    resultHash: lowerCase(raw.resultHash),
    resultSeal: lowerCase(raw.resultSeal),
    enclaveChallenge: lowerCase(raw.enclaveChallenge),
    weight: raw.weight,
  };
}

export const toAccount = ({ stake, locked }: Answer<"viewAccount">): Account => ({ stake: nanoRlc(stake), locked: nanoRlc(locked) });

function taskStatus(value: number): ChainTaskStatus {
  const status = CHAIN_TASK_STATUSES[value];
  if (status === undefined) throw new CodedError("CHN-2002", { what: "a task", reason: `unknown status ${value}` });
  return status;
}

function contributionStatus(value: number): ContributionStatus {
  const status = CONTRIBUTION_STATUSES[value];
  if (status === undefined) throw new CodedError("CHN-2002", { what: "a contribution", reason: `unknown status ${value}` });
  return status;
}

export function toApp(
  address: Address,
  [owner, name, type, multiaddr, checksum, mrenclave]: readonly [Address, string, string, Hex, Bytes32, Hex],
): AppRecord {
  return {
    address: lowerCase(address),
    owner: lowerCase(owner),
    name,
    type,
    multiaddr: hexToString(multiaddr),
    checksum: lowerCase(checksum),
    mrenclave: lowerCase(mrenclave),
  };
}

export function toDataset(address: Address, [owner, name, multiaddr, checksum]: readonly [Address, string, Hex, Bytes32]): DatasetRecord {
  return { address: lowerCase(address), owner: lowerCase(owner), name, multiaddr: lowerCase(multiaddr), checksum: lowerCase(checksum) };
}

export function toWorkerpool(
  address: Address,
  [owner, description, workerStakeRatio, schedulerRewardRatio]: readonly [Address, string, bigint, bigint],
): WorkerpoolRecord {
  return { address: lowerCase(address), owner: lowerCase(owner), description, workerStakeRatio, schedulerRewardRatio };
}
