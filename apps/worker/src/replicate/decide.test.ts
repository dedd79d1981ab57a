import {
  type Address,
  type Bytes32,
  CHAIN_TASK_STATUSES,
  CONTRIBUTION_STATUSES,
  canFollow,
  chainTime,
  isFinal,
  nanoRlc,
  REPLICATE_STATUSES,
  type ReplicateStatus,
  resultHashOf,
  resultSealOf,
  statusRow,
  type TaskObservation,
} from "@iexec-ts/poco";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Decision, decide, type Situation } from "./decide.ts";

const WORKER: Address = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23";
const TASK: Bytes32 = `0x${"11".repeat(32)}`;
const ZERO: Bytes32 = `0x${"00".repeat(32)}`;
const NOBODY: Address = `0x${"00".repeat(20)}`;
const DIGEST: Bytes32 = `0x${"d1".repeat(32)}`;
const OURS = {
  taskId: TASK,
  worker: WORKER,
  digest: DIGEST,
  resultHash: resultHashOf(TASK, DIGEST),
  resultSeal: resultSealOf(WORKER, TASK, DIGEST),
  callbackData: undefined,
};
const OTHER: Bytes32 = resultHashOf(TASK, `0x${"d2".repeat(32)}`);
const ASIDE: readonly ReplicateStatus[] = ["RECOVERING", "OUT_OF_GAS"];

interface ChainOptions {
  readonly now?: bigint;
  readonly task?: (typeof CHAIN_TASK_STATUSES)[number];
  readonly ours?: (typeof CONTRIBUTION_STATUSES)[number];
  readonly oursHash?: Bytes32;
  readonly consensus?: Bytes32;
  readonly stake?: bigint;
}

/** Contribution until 1000, reveal until 2000, final at 3000; a stake of 10 is needed. */
function chainSays({
  now = 100n,
  task = "ACTIVE",
  ours = "UNSET",
  oursHash = OURS.resultHash,
  consensus = ZERO,
  stake = 100n,
}: ChainOptions = {}): TaskObservation {
  const asset = { pointer: NOBODY, owner: NOBODY, price: nanoRlc(0n) };
  return {
    block: { number: 7n, hash: ZERO, timestamp: chainTime(now) },
    task: {
      id: TASK,
      status: task,
      dealId: TASK,
      index: 0n,
      timeref: 300n,
      contributionDeadline: chainTime(1_000n),
      revealDeadline: chainTime(2_000n),
      finalDeadline: chainTime(3_000n),
      consensusValue: consensus,
      revealCounter: 0n,
      winnerCounter: 1n,
      contributors: [],
      resultDigest: ZERO,
      results: "0x",
      resultsCallback: "0x",
    },
    deal: {
      id: TASK,
      app: asset,
      dataset: asset,
      workerpool: asset,
      trust: 1n,
      category: 0n,
      tag: ZERO,
      requester: NOBODY,
      beneficiary: NOBODY,
      callback: NOBODY,
      params: "",
      startTime: chainTime(1n),
      botFirst: 0n,
      botSize: 1n,
      workerStake: nanoRlc(10n),
      schedulerRewardRatio: 1n,
      sponsor: NOBODY,
    },
    ours: {
      status: ours,
      resultHash: ours === "UNSET" ? ZERO : oursHash,
      resultSeal: ours === "UNSET" ? ZERO : OURS.resultSeal,
      enclaveChallenge: NOBODY,
      weight: 1n,
    },
    account: { stake: nanoRlc(stake), locked: nanoRlc(0n) },
  };
}

function situation(
  progress: ReplicateStatus,
  chain: TaskObservation | undefined,
  extra: Partial<Situation["replicate"]> & { contributed?: boolean; canPay?: boolean; promised?: bigint } = {},
): Situation {
  const { contributed = false, canPay = true, promised = 0n, ...replicate } = extra;
  return {
    worker: WORKER,
    replicate: {
      status: progress,
      progress,
      sealed: { digest: DIGEST, callbackData: undefined, zipPath: "/x", zipSha256: ZERO },
      failure: undefined,
      uploadRequested: false,
      abort: undefined,
      closedAt: undefined,
      resultLink: undefined,
      ...replicate,
    },
    contribution: contributed ? OURS : undefined,
    seen: { chain, canPay, promisedStake: nanoRlc(promised) },
  };
}

const recorded = (decision: Decision): ReplicateStatus | undefined => (decision.kind === "record" ? decision.status : undefined);

describe("the nominal path", () => {
  test.each([
    ["CREATED", { kind: "record", status: "RUNNING" }],
    ["RUNNING", { kind: "stage", stage: "DOWNLOAD_APP" }],
    ["APP_DOWNLOADED", { kind: "stage", stage: "DOWNLOAD_DATA" }],
    ["DATA_DOWNLOADED", { kind: "stage", stage: "COMPUTE" }],
    ["COMPUTED", { kind: "record", status: "CAN_CONTRIBUTE" }],
    ["CAN_CONTRIBUTE", { kind: "stage", stage: "CONTRIBUTE" }],
  ] satisfies [ReplicateStatus, Decision][])("%s goes on", (progress, expected) => {
    expect(decide(situation(progress, chainSays()))).toEqual(expected);
  });

  test("a contribution waits for its consensus, then is revealed", () => {
    const contributed = { contributed: true };
    expect(decide(situation("CONTRIBUTED", chainSays({ ours: "CONTRIBUTED" }), contributed))).toMatchObject({
      kind: "wait",
      reason: "chain",
    });
    const agreed = chainSays({ task: "REVEALING", ours: "CONTRIBUTED", consensus: OURS.resultHash });
    expect(decide(situation("CONTRIBUTED", agreed, contributed))).toEqual({ kind: "stage", stage: "REVEAL" });
  });

  test("a revealed result is uploaded when asked for, and complete when the task is", () => {
    const revealed = chainSays({ task: "REVEALING", ours: "PROVED", consensus: OURS.resultHash });
    expect(decide(situation("REVEALED", revealed, { contributed: true }))).toMatchObject({ kind: "wait", reason: "scheduler" });
    expect(recorded(decide(situation("REVEALED", revealed, { contributed: true, uploadRequested: true })))).toBe("RESULT_UPLOAD_REQUESTED");
    const completed = chainSays({ task: "COMPLETED", ours: "PROVED", consensus: OURS.resultHash });
    expect(recorded(decide(situation("REVEALED", completed, { contributed: true })))).toBe("COMPLETED");
    expect(decide(situation("COMPLETED", completed, { contributed: true }))).toEqual({ kind: "stage", stage: "PURGE" });
  });
});

describe("what ends a replicate before it costs stake", () => {
  test.each([
    ["COMPUTED", chainSays({ stake: 9n }), "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW"],
    ["COMPUTED", chainSays({ task: "REVEALING" }), "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE"],
    ["COMPUTED", chainSays({ now: 1_000n }), "CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE"],
    ["COMPUTING", chainSays({ task: "REVEALING" }), "ABORTED_ON_CONSENSUS_REACHED"],
    ["COMPUTING", chainSays({ now: 1_000n }), "ABORTED_ON_CONTRIBUTION_TIMEOUT"],
    ["COMPUTING", chainSays({ task: "FAILED" }), "FAILED"],
  ] satisfies [ReplicateStatus, TaskObservation, ReplicateStatus][])("%s", (progress, chain, status) => {
    expect(recorded(decide(situation(progress, chain)))).toBe(status);
  });

  test("stake promised to other tasks is not free", () => {
    expect(recorded(decide(situation("COMPUTED", chainSays({ stake: 19n }), { promised: 10n })))).toBe(
      "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW",
    );
    expect(recorded(decide(situation("COMPUTED", chainSays({ stake: 20n }), { promised: 10n })))).toBe("CAN_CONTRIBUTE");
  });

  test("an empty wallet pauses, and goes on when it is refilled", () => {
    expect(recorded(decide(situation("CAN_CONTRIBUTE", chainSays(), { canPay: false })))).toBe("OUT_OF_GAS");
    const dry = { status: "OUT_OF_GAS", canPay: false } as const;
    expect(decide(situation("CAN_CONTRIBUTE", chainSays(), dry))).toMatchObject({ kind: "wait", reason: "gas" });
    expect(recorded(decide(situation("CAN_CONTRIBUTE", chainSays(), { ...dry, canPay: true })))).toBe("CAN_CONTRIBUTE");
  });
});

describe("money", () => {
  test("a contribution on chain that the journal does not know stops the worker", () => {
    const unknown = chainSays({ ours: "CONTRIBUTED", oursHash: OTHER });
    for (const progress of ["COMPUTING", "CAN_CONTRIBUTE", "CONTRIBUTING"] as const) {
      expect(decide(situation(progress, unknown))).toEqual({ kind: "alarm" });
    }
    const set = "CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET";
    for (const progress of ["RUNNING", "COMPUTED"] as const) expect(recorded(decide(situation(progress, unknown)))).toBe(set);
    expect(decide(situation(set, unknown))).toEqual({ kind: "alarm" });
    expect(decide(situation(set, chainSays({ task: "COMPLETED", ours: "PROVED", oursHash: OTHER })))).toEqual({
      kind: "stage",
      stage: "PURGE",
    });
  });

  test.each([
    ["CONTRIBUTED", "RECOVERING", chainSays({ ours: "REJECTED" })],
    ["CONTRIBUTED", "OUT_OF_GAS", chainSays({ ours: "REJECTED" })],
    ["REVEALING", "REVEALING", chainSays({ ours: "REJECTED" })],
    ["REVEALING", "RECOVERING", chainSays({ task: "COMPLETED", ours: "CONTRIBUTED", consensus: OURS.resultHash })],
  ] as const)("%s (%s): a reveal that came too late ends as REVEAL_TIMEOUT", (progress, status, chain) => {
    expect(recorded(decide(situation(progress, chain, { contributed: true, status })))).toBe("REVEAL_TIMEOUT");
  });

  test.each([
    ["another result won", chainSays({ task: "REVEALING", ours: "CONTRIBUTED", consensus: OTHER }), "ABORTED_ON_CONSENSUS_REACHED"],
    [
      "the reveal deadline passed",
      chainSays({ now: 2_000n, task: "REVEALING", ours: "CONTRIBUTED", consensus: OURS.resultHash }),
      "REVEAL_TIMEOUT",
    ],
    ["the task was reopened", chainSays({ ours: "REJECTED" }), "CANT_REVEAL"],
    ["nobody agreed in time", chainSays({ now: 1_000n, ours: "CONTRIBUTED" }), "ABORTED_ON_CONTRIBUTION_TIMEOUT"],
  ] satisfies [string, TaskObservation, ReplicateStatus][])("after contributing, %s", (_, chain, status) => {
    expect(recorded(decide(situation("CONTRIBUTED", chain, { contributed: true })))).toBe(status);
  });

  test("a scheduler's abort never talks a contributor out of its reveal", () => {
    const agreed = chainSays({ task: "REVEALING", ours: "CONTRIBUTED", consensus: OURS.resultHash });
    expect(decide(situation("CONTRIBUTED", agreed, { contributed: true, abort: "UNKNOWN" }))).toEqual({ kind: "stage", stage: "REVEAL" });
  });
});

const anyStatus = fc.constantFrom(...REPLICATE_STATUSES);
const anyChain: fc.Arbitrary<TaskObservation | undefined> = fc.option(
  fc
    .record({
      now: fc.constantFrom(0n, 999n, 1_000n, 1_999n, 2_000n, 3_000n),
      task: fc.constantFrom(...CHAIN_TASK_STATUSES),
      ours: fc.constantFrom(...CONTRIBUTION_STATUSES),
      oursHash: fc.constantFrom(OURS.resultHash, OTHER),
      consensus: fc.constantFrom(ZERO, OURS.resultHash, OTHER),
      stake: fc.constantFrom(0n, 10n, 100n),
    })
    .map((options) => {
      const seen = chainSays(options);
      return options.task === "UNSET" ? { ...seen, task: undefined } : seen;
    }),
  { nil: undefined },
);
const anySituation: fc.Arbitrary<Situation> = fc
  .record({
    progress: anyStatus.filter((status) => !ASIDE.includes(status) && status !== "WORKER_LOST"),
    aside: fc.constantFrom<ReplicateStatus | undefined>(undefined, undefined, ...ASIDE),
    chain: anyChain,
    contributed: fc.boolean(),
    canPay: fc.boolean(),
    sealed: fc.boolean(),
    uploadRequested: fc.boolean(),
    abort: fc.constantFrom("UNKNOWN" as const, "CONSENSUS_REACHED" as const, undefined),
  })
  .filter(({ progress, aside }) => aside === undefined || canFollow(progress, aside))
  .map(({ progress, aside, chain, sealed, ...rest }) => {
    const base = situation(progress, chain, { ...rest, ...(aside === undefined ? {} : { status: aside }) });
    return sealed ? base : { ...base, replicate: { ...base.replicate, sealed: undefined } };
  });

describe("for every situation", () => {
  test("there is one decision, always the same", () => {
    fc.assert(
      fc.property(anySituation, (s) => {
        expect(decide(s)).toEqual(decide(s));
      }),
      { numRuns: 2_000 },
    );
  });

  test("what it records, the table of statuses allows", () => {
    fc.assert(
      fc.property(anySituation, (s) => {
        const decision = decide(s);
        if (decision.kind === "record") expect(statusRow(s.replicate.status).next).toContain(decision.status);
      }),
      { numRuns: 5_000 },
    );
  });

  test("nothing that costs money is done while the chain cannot be read", () => {
    fc.assert(
      fc.property(anySituation, (s) => {
        const decision = decide({ ...s, seen: { ...s.seen, chain: undefined } });
        if (decision.kind === "stage") expect(["CONTRIBUTE", "REVEAL"]).not.toContain(decision.stage);
      }),
    );
  });

  test("only a finished replicate is purged", () => {
    fc.assert(
      fc.property(anySituation, (s) => {
        const decision = decide(s);
        if (decision.kind !== "stage" || decision.stage !== "PURGE") return;
        const resting = /^(CANT_|ABORTED_|CONTRIBUTE_FAILED|REVEAL_FAILED|REVEAL_TIMEOUT)/;
        expect(isFinal(s.replicate.status) || resting.test(s.replicate.progress)).toBe(true);
      }),
    );
  });

  test("a contributor whose result won reveals, waits for the chain or for gas, or is told why not", () => {
    const won = anySituation.map((s) => ({
      ...s,
      contribution: OURS,
      replicate: { ...s.replicate, status: "CONTRIBUTED" as const, progress: "CONTRIBUTED" as const },
      seen: { ...s.seen, canPay: true, chain: chainSays({ task: "REVEALING", ours: "CONTRIBUTED", consensus: OURS.resultHash }) },
    }));
    fc.assert(
      fc.property(won, (s) => {
        expect(decide(s)).toEqual({ kind: "stage", stage: "REVEAL" });
      }),
    );
  });
});
