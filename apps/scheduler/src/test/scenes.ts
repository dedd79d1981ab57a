import {
  type Address,
  type ChainTask,
  type ChainTaskStatus,
  type Contribution,
  chainTime,
  nanoRlc,
  workerWeight,
  ZERO_ADDRESS,
  ZERO_BYTES32,
} from "@iexec-ts/poco";
import type { ReplicateRecord, TaskRecord } from "../model.ts";
import type { Situation } from "../tasks/decision.ts";

const TASK = `0x${"11".repeat(32)}` as const;
export const WALL = new Date("2026-01-01T00:00:00.000Z");
export const HASHES = [`0x${"aa".repeat(32)}`, `0x${"bb".repeat(32)}`] as const;
export const PERIOD = 100n;
export const START = 1_000n;
export const CONTRIBUTION_END = chainTime(START + 7n * PERIOD);
export const REVEAL_END = chainTime(START + 8n * PERIOD);
export const FINAL = chainTime(START + 10n * PERIOD);
export const wallet = (n: number): Address => `0x${n.toString(16).padStart(40, "0")}`;
export const at = (ms: number): Date => new Date(WALL.getTime() + ms);

export const task = (more: Partial<TaskRecord> = {}): TaskRecord => ({
  id: TASK,
  dealId: TASK,
  index: 0n,
  status: "RUNNING",
  open: false,
  endedAt: undefined,
  closed: false,
  tee: undefined,
  trust: 1n,
  workerStake: nanoRlc(3n),
  period: PERIOD,
  contributionDeadline: CONTRIBUTION_END,
  finalDeadline: FINAL,
  revealDeadline: undefined,
  consensusBlock: undefined,
  enclaveChallenge: undefined,
  resultLink: undefined,
  callbackData: undefined,
  ...more,
});

export const replicate = (n: number, more: Partial<ReplicateRecord> = {}): ReplicateRecord => ({
  taskId: TASK,
  wallet: wallet(n),
  status: "COMPUTING",
  cause: undefined,
  relevant: more.status ?? "COMPUTING",
  workerStatus: more.status ?? "COMPUTING",
  workerSeq: 1,
  history: 1,
  slot: true,
  weight: workerWeight(0n),
  uploadTries: 0,
  told: undefined,
  toldAt: undefined,
  changedAt: WALL,
  changedChain: chainTime(START),
  alive: true,
  ...more,
});

export const onChain = (status: ChainTaskStatus, more: Partial<ChainTask> = {}): ChainTask => ({
  id: TASK,
  status,
  dealId: TASK,
  index: 0n,
  timeref: PERIOD,
  contributionDeadline: CONTRIBUTION_END,
  revealDeadline: status === "ACTIVE" ? chainTime(0n) : REVEAL_END,
  finalDeadline: FINAL,
  consensusValue: status === "ACTIVE" ? ZERO_BYTES32 : HASHES[0],
  revealCounter: 0n,
  winnerCounter: 1n,
  contributors: [],
  resultDigest: ZERO_BYTES32,
  results: "0x",
  resultsCallback: "0x",
  ...more,
});

export const contribution = (status: Contribution["status"], resultHash: Contribution["resultHash"] = HASHES[0]): Contribution => ({
  status,
  resultHash,
  resultSeal: ZERO_BYTES32,
  enclaveChallenge: ZERO_ADDRESS,
  weight: 1n,
});

export interface Scene extends Partial<Omit<Situation, "chain" | "now">> {
  readonly onChain?: ChainTask | undefined;
  readonly contributions?: ReadonlyMap<Address, Contribution>;
  readonly time?: bigint;
  readonly wall?: Date;
}
export const situation = (scene: Scene): Situation => ({
  task: scene.task ?? task(),
  replicates: scene.replicates ?? [],
  sightings: scene.sightings ?? new Map(),
  chain: { task: scene.onChain, contributions: scene.contributions ?? new Map() },
  now: { chain: chainTime(scene.time ?? START + 10n), wall: scene.wall ?? WALL },
  patience: { uploadStartMs: 1_000, uploadMs: 5_000, uploadRetryMs: 100, repeatMs: 700, unnotifiedMs: 500, closeMs: 2_000 },
});
