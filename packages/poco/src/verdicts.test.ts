import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { canContributeAndFinalize, contributionVerdict } from "./contribution-verdict.ts";
import { ZERO_ADDRESS, ZERO_BYTES32 } from "./hex.ts";
import { resultHashOf, resultSealOf } from "./ids.ts";
import { revealVerdict } from "./reveal-verdict.ts";
import { canFollow } from "./status.ts";
import {
  CHAIN_TASK_STATUSES,
  type ChainTask,
  CONTRIBUTION_STATUSES,
  type Contribution,
  type Deal,
  type TaskObservation,
} from "./structs.ts";
import { taskVerdict } from "./task-verdict.ts";
import { chainTime, nanoRlc } from "./units.ts";

const WORKER = "0x9965507d1a55bcc2695c58ba16fb37d819b0a4dc";
const TASK = `0x${"11".repeat(32)}` as const;
const DIGEST = `0x${"d1".repeat(32)}` as const;
const OTHER = `0x${"ee".repeat(32)}` as const;
const HASH = resultHashOf(TASK, DIGEST);
const SEAL = resultSealOf(WORKER, TASK, DIGEST);

const asset = { pointer: ZERO_ADDRESS, owner: ZERO_ADDRESS, price: nanoRlc(0n) };
const deal: Deal = {
  id: OTHER,
  app: asset,
  dataset: asset,
  workerpool: asset,
  trust: 1n,
  category: 0n,
  tag: ZERO_BYTES32,
  requester: ZERO_ADDRESS,
  beneficiary: ZERO_ADDRESS,
  callback: ZERO_ADDRESS,
  params: "",
  startTime: chainTime(0n),
  botFirst: 0n,
  botSize: 1n,
  workerStake: nanoRlc(350n),
  schedulerRewardRatio: 5n,
  sponsor: ZERO_ADDRESS,
};
const task: ChainTask = {
  id: TASK,
  status: "ACTIVE",
  dealId: OTHER,
  index: 0n,
  timeref: 10n,
  contributionDeadline: chainTime(70n),
  revealDeadline: chainTime(0n),
  finalDeadline: chainTime(100n),
  consensusValue: ZERO_BYTES32,
  revealCounter: 0n,
  winnerCounter: 0n,
  contributors: [],
  resultDigest: ZERO_BYTES32,
  results: "0x",
  resultsCallback: "0x",
};
const none: Contribution = {
  status: "UNSET",
  resultHash: ZERO_BYTES32,
  resultSeal: ZERO_BYTES32,
  enclaveChallenge: ZERO_ADDRESS,
  weight: 0n,
};
const mine: Contribution = { ...none, status: "CONTRIBUTED", resultHash: HASH, resultSeal: SEAL };

const seen = (change: { task?: Partial<ChainTask>; ours?: Contribution; stake?: bigint; now?: bigint } = {}): TaskObservation => ({
  block: { number: 1n, hash: OTHER, timestamp: chainTime(change.now ?? 50n) },
  task: { ...task, ...change.task },
  deal,
  ours: change.ours ?? none,
  account: { stake: nanoRlc(change.stake ?? 350n), locked: nanoRlc(0n) },
});
const revealing = { status: "REVEALING", consensusValue: HASH, revealDeadline: chainTime(80n) } as const;

describe("contributionVerdict", () => {
  test.each([
    ["all is well", seen(), { can: true }],
    ["the task is not on chain yet", seen({ task: { status: "UNSET" } }), { wait: "TASK_NOT_SEEN" }],
    ["our node knows no task", { ...seen(), task: undefined }, { wait: "TASK_NOT_SEEN" }],
    ["our node knows no deal", { ...seen(), deal: undefined }, { wait: "TASK_NOT_SEEN" }],
    ["stake is short by 1", seen({ stake: 349n }), { status: "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW", missing: 1n }],
    ["consensus came first", seen({ task: revealing }), { status: "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE", task: "REVEALING" }],
    ["the task was claimed", seen({ task: { status: "FAILED" } }), { status: "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE", task: "FAILED" }],
    ["the block is at the deadline", seen({ now: 70n }), { status: "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE" }],
    ["the block is a second before it", seen({ now: 69n }), { can: true }],
    [
      "stake and deadline are both wrong: the stake is named",
      seen({ now: 70n, stake: 0n }),
      { status: "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW", missing: 350n },
    ],
    [
      "another machine contributed with our wallet",
      seen({ ours: { ...mine, resultHash: OTHER } }),
      { status: "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET", contribution: "CONTRIBUTED", expected: false },
    ],
    [
      "our own contribution is there, its stake locked and its consensus reached",
      seen({ ours: mine, stake: 0n, task: revealing }),
      { status: "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET", contribution: "CONTRIBUTED", expected: true },
    ],
    [
      "our contribution was rejected by a reopening",
      seen({ ours: { ...mine, status: "REJECTED" } }),
      { status: "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET", contribution: "REJECTED", expected: true },
    ],
  ] satisfies [string, TaskObservation, unknown][])("%s", (_, observation, verdict) => {
    expect(contributionVerdict(observation, { needStake: true, expected: { resultHash: HASH, resultSeal: SEAL } })).toEqual(verdict);
  });

  test("contributeAndFinalize needs no stake, but trust 1 and nobody before", () => {
    expect(contributionVerdict(seen({ stake: 0n }), { needStake: false })).toEqual({ can: true });
    expect(canContributeAndFinalize(seen())).toBe(true);
    expect(canContributeAndFinalize(seen({ task: { contributors: [WORKER] } }))).toBe(false);
    expect(canContributeAndFinalize({ ...seen(), deal: { ...deal, trust: 2n } })).toBe(false);
  });

  test("reserved stake and a margin are taken into account", () => {
    expect(contributionVerdict(seen(), { needStake: true, reserved: nanoRlc(1n) })).toMatchObject({ missing: 1n });
    expect(contributionVerdict(seen({ now: 69n }), { needStake: true, marginSeconds: 1n })).toEqual({
      status: "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE",
    });
  });
});

describe("revealVerdict", () => {
  const won = seen({ task: revealing, ours: mine });
  test.each([
    ["we won", won, DIGEST, { can: true }],
    ["an earlier run's reveal is on chain", seen({ task: revealing, ours: { ...mine, status: "PROVED" } }), DIGEST, { status: "REVEALED" }],
    [
      "it is on chain and the digest is lost",
      seen({ task: revealing, ours: { ...mine, status: "PROVED" } }),
      undefined,
      { status: "REVEALED" },
    ],
    ["no consensus yet", seen({ ours: mine }), DIGEST, { wait: "CONSENSUS_NOT_REACHED" }],
    ["our node knows no task", { ...won, task: undefined }, DIGEST, { wait: "TASK_NOT_SEEN" }],
    [
      "another result won",
      seen({ task: { ...revealing, consensusValue: OTHER }, ours: mine }),
      DIGEST,
      { status: "CANT_REVEAL", because: "NOT_IN_CONSENSUS" },
    ],
    ["we did not contribute", seen({ task: revealing }), DIGEST, { status: "CANT_REVEAL", because: "NOT_IN_CONSENSUS" }],
    ["the task was reopened", seen({ ours: { ...mine, status: "REJECTED" } }), DIGEST, { status: "CANT_REVEAL", because: "NOT_REVEALING" }],
    [
      "the task is finalized",
      seen({ task: { status: "COMPLETED" }, ours: mine }),
      DIGEST,
      { status: "CANT_REVEAL", because: "NOT_REVEALING" },
    ],
    ["the deadline block has passed", { ...won, block: { ...won.block, timestamp: chainTime(80n) } }, DIGEST, { status: "REVEAL_TIMEOUT" }],
    ["the digest is lost", won, undefined, { status: "CANT_REVEAL", because: "DIGEST_LOST" }],
    ["the digest is another", won, OTHER, { status: "CANT_REVEAL", because: "DIGEST_MISMATCH" }],
    [
      "the seal is another",
      seen({ task: revealing, ours: { ...mine, resultSeal: OTHER } }),
      DIGEST,
      { status: "CANT_REVEAL", because: "DIGEST_MISMATCH" },
    ],
  ] satisfies [string, TaskObservation, `0x${string}` | undefined, unknown][])("%s", (_, observation, digest, verdict) => {
    expect(revealVerdict(observation, WORKER, digest)).toEqual(verdict);
  });

  test("a margin before the deadline", () => {
    expect(revealVerdict(won, WORKER, DIGEST, 30n)).toEqual({ status: "REVEAL_TIMEOUT" });
  });
});

describe("taskVerdict", () => {
  test.each([
    ["computing", seen(), { going: true }],
    ["not on chain", { ...seen(), task: undefined }, { going: true }],
    ["contributed, waiting", seen({ ours: mine }), { going: true }],
    ["in the consensus", seen({ task: revealing, ours: mine }), { going: true }],
    ["revealed", seen({ task: revealing, ours: { ...mine, status: "PROVED" } }), { going: true }],
    ["consensus without us", seen({ task: revealing }), { status: "ABORTED_ON_CONSENSUS_REACHED", stakeAtRisk: false }],
    [
      "consensus against us",
      seen({ task: { ...revealing, consensusValue: OTHER }, ours: mine }),
      { status: "ABORTED_ON_CONSENSUS_REACHED", stakeAtRisk: true },
    ],
    ["too late, no contribution", seen({ now: 70n }), { status: "ABORTED_ON_CONTRIBUTION_TIMEOUT", stakeLocked: false }],
    ["too late, stake locked", seen({ now: 70n, ours: mine }), { status: "ABORTED_ON_CONTRIBUTION_TIMEOUT", stakeLocked: true }],
    [
      "finalized with us",
      seen({ task: { status: "COMPLETED" }, ours: { ...mine, status: "PROVED" } }),
      { status: "COMPLETED", rewarded: true },
    ],
    ["finalized without us", seen({ task: { status: "COMPLETED" }, ours: mine }), { status: "COMPLETED", rewarded: false }],
    ["claimed", seen({ task: { status: "FAILED" }, ours: mine }), { status: "FAILED" }],
  ] satisfies [string, TaskObservation, unknown][])("%s", (_, observation, verdict) => {
    expect(taskVerdict(observation)).toEqual(verdict);
  });
});

test("whatever the chain says, a verdict is never both a reveal and an end, and its status can follow the worker's", () => {
  const observation = fc.record({
    status: fc.constantFrom(...CHAIN_TASK_STATUSES),
    ours: fc.constantFrom(...CONTRIBUTION_STATUSES),
    hash: fc.constantFrom(HASH, OTHER),
    now: fc.bigInt(0n, 120n),
    stake: fc.bigInt(0n, 700n),
  });
  fc.assert(
    fc.property(observation, ({ status, ours, hash, now, stake }) => {
      const view = seen({ task: { ...revealing, status, consensusValue: hash }, ours: { ...mine, status: ours }, now, stake });
      const reveal = revealVerdict(view, WORKER, DIGEST);
      const contribute = contributionVerdict(view, { needStake: true });
      const ended = taskVerdict(view);
      if ("can" in reveal) expect(ended).toEqual({ going: true });
      expect("can" in reveal && "can" in contribute).toBe(false);
      if ("status" in contribute) expect(canFollow("COMPUTED", contribute.status)).toBe(true);
      if ("status" in reveal && reveal.status !== "REVEALED") expect(canFollow("CONTRIBUTED", reveal.status)).toBe(true);
    }),
  );
});
