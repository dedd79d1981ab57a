import {
  type Address,
  type ChainTask,
  type ChainTaskStatus,
  CONTRIBUTION_STATUSES,
  type Contribution,
  canFollow,
  chainTime,
  nanoRlc,
  REPLICATE_STATUSES,
  TASK_STATUSES,
  workerWeight,
  ZERO_ADDRESS,
  ZERO_BYTES32,
} from "@iexec-ts/poco";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ReplicateRecord, Sighting, TaskRecord } from "../model.ts";
import { isDigression, isSettled } from "../replicates/classes.ts";
import { decideTask } from "./decide.ts";
import type { Effect, Situation } from "./decision.ts";

const TASK = `0x${"11".repeat(32)}` as const;
const WALL = new Date("2026-01-01T00:00:00.000Z");
const HASHES = [`0x${"aa".repeat(32)}`, `0x${"bb".repeat(32)}`] as const;
const PERIOD = 100n;
const START = 1_000n;
const CONTRIBUTION_END = chainTime(START + 7n * PERIOD);
const REVEAL_END = chainTime(START + 8n * PERIOD);
const FINAL = chainTime(START + 10n * PERIOD);
const wallet = (n: number): Address => `0x${n.toString(16).padStart(40, "0")}`;
const at = (ms: number): Date => new Date(WALL.getTime() + ms);

const task = (more: Partial<TaskRecord> = {}): TaskRecord => ({
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

const replicate = (n: number, more: Partial<ReplicateRecord> = {}): ReplicateRecord => ({
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
  changedAt: WALL,
  changedChain: chainTime(START),
  alive: true,
  ...more,
});

const onChain = (status: ChainTaskStatus, more: Partial<ChainTask> = {}): ChainTask => ({
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

const contribution = (status: Contribution["status"], resultHash: Contribution["resultHash"] = HASHES[0]): Contribution => ({
  status,
  resultHash,
  resultSeal: ZERO_BYTES32,
  enclaveChallenge: ZERO_ADDRESS,
  weight: 1n,
});

interface Scene extends Partial<Omit<Situation, "chain" | "now">> {
  readonly onChain?: ChainTask | undefined;
  readonly contributions?: ReadonlyMap<Address, Contribution>;
  readonly time?: bigint;
  readonly wall?: Date;
}
const situation = (scene: Scene): Situation => ({
  task: scene.task ?? task(),
  replicates: scene.replicates ?? [],
  sightings: scene.sightings ?? new Map(),
  chain: { task: scene.onChain, contributions: scene.contributions ?? new Map() },
  now: { chain: chainTime(scene.time ?? START + 10n), wall: scene.wall ?? WALL },
  patience: { uploadStartMs: 1_000, uploadMs: 5_000, uploadRetryMs: 100, unnotifiedMs: 500, closeMs: 2_000 },
});
const effectsOf = (scene: Scene): readonly Effect[] => decideTask(situation(scene)).effects;
const callsOf = (scene: Scene) => effectsOf(scene).flatMap((effect) => (effect.kind === "call" ? [effect.call] : []));
const statusesOf = (scene: Scene) => effectsOf(scene).flatMap((effect) => (effect.kind === "task-status" ? [effect.status] : []));
const replicatesOf = (scene: Scene) =>
  effectsOf(scene).flatMap((effect) => (effect.kind === "replicate-status" ? [[effect.wallet, effect.status]] : []));

describe("before the contribution", () => {
  test("a task that is not on chain yet is initialized", () => {
    expect(callsOf({ task: task({ status: "RECEIVED" }) })).toEqual(["initialize"]);
    expect(statusesOf({ task: task({ status: "RECEIVED" }) })).toEqual(["INITIALIZING"]);
  });

  test("one that was never initialized is, after its final deadline, only to be claimed", () => {
    expect(callsOf({ time: CONTRIBUTION_END })).toEqual([]);
    expect(statusesOf({ time: CONTRIBUTION_END })).toEqual(["CONTRIBUTION_TIMEOUT", "FAILED"]);
    expect(callsOf({ time: FINAL })).toEqual(["initialize"]);
  });

  test("an ACTIVE task is offered until enough replicates could reach consensus", () => {
    const open = (scene: Scene) => effectsOf({ onChain: onChain("ACTIVE"), ...scene }).find((effect) => effect.kind === "demand");
    expect(open({})).toEqual({ kind: "demand", open: true });
    expect(open({ replicates: [replicate(1)] })).toBeUndefined();
    expect(open({ task: task({ trust: 5n }), replicates: [replicate(1), replicate(2)] })).toEqual({ kind: "demand", open: true });
    expect(open({ task: task({ trust: 5n, open: true }), replicates: [1, 2, 3].map((n) => replicate(n)) })).toEqual({
      kind: "demand",
      open: false,
    });
  });

  test.each(["COMPUTE_FAILED", "CONTRIBUTE_FAILED", "CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW", "FAILED", "WORKER_LOST", "OUT_OF_GAS"] as const)(
    "a replicate that is %s is replaced at once",
    (status) => {
      expect(effectsOf({ onChain: onChain("ACTIVE"), replicates: [replicate(1, { status })] })).toContainEqual({
        kind: "demand",
        open: true,
      });
    },
  );

  test("a worker that does not ping is lost and replaced at once", () => {
    const effects = effectsOf({ onChain: onChain("ACTIVE"), replicates: [replicate(1, { alive: false })] });
    expect(effects).toContainEqual({ kind: "replicate-status", wallet: wallet(1), status: "WORKER_LOST", cause: undefined });
    expect(effects).toContainEqual({ kind: "demand", open: true });
  });

  test("a replicate that is silent for a whole period counts no more, and that moment wakes the task", () => {
    const scene = { onChain: onChain("ACTIVE"), replicates: [replicate(1)] };
    expect(decideTask(situation(scene)).wakeChain).toBe(START + PERIOD);
    expect(effectsOf({ ...scene, time: START + PERIOD })).toContainEqual({ kind: "demand", open: true });
  });

  test("a TEE task is not offered before its enclave has a key", () => {
    const tee = task({ tee: "tdx" });
    expect(effectsOf({ task: tee, onChain: onChain("ACTIVE") })).toEqual([{ kind: "enclave-challenge" }]);
    expect(effectsOf({ task: { ...tee, enclaveChallenge: wallet(9) }, onChain: onChain("ACTIVE") })).toEqual([
      { kind: "demand", open: true },
    ]);
  });

  test("the contribution deadline fails the task, tells its workers, and waits for the claim", () => {
    const scene = { task: task({ open: true }), onChain: onChain("ACTIVE"), replicates: [replicate(1)], time: CONTRIBUTION_END };
    expect(statusesOf(scene)).toEqual(["CONTRIBUTION_TIMEOUT", "FAILED"]);
    expect(effectsOf(scene)).toContainEqual({ kind: "order", order: "ABORT", wallets: [], abortCause: "CONTRIBUTION_TIMEOUT" });
    expect(effectsOf(scene)).toContainEqual({ kind: "demand", open: false });
    expect(decideTask(situation(scene)).wakeChain).toBe(FINAL);
    expect(callsOf({ ...scene, time: FINAL })).toEqual(["claim"]);
  });
});

describe("reveal and upload", () => {
  const revealing = (more: Partial<ChainTask> = {}) => onChain("REVEALING", more);
  const won = new Map([[wallet(1), contribution("CONTRIBUTED")]]);
  const proved = new Map([[wallet(1), contribution("PROVED")]]);

  test("winners that have said CONTRIBUTED are told to reveal, the others to stop", () => {
    const replicates = [
      replicate(1, { status: "CONTRIBUTED" }),
      replicate(2, { status: "CONTRIBUTED" }),
      replicate(3, { status: "COMPUTING" }),
      replicate(4, { status: "ABORTED_ON_CONSENSUS_REACHED" }),
    ];
    const contributions = new Map([...won, [wallet(2), contribution("CONTRIBUTED", HASHES[1])]]);
    const orders = effectsOf({ onChain: revealing(), replicates, contributions }).filter(({ kind }) => kind === "order");
    expect(orders).toEqual([
      { kind: "order", order: "REVEAL", wallets: [wallet(1)], abortCause: undefined },
      { kind: "order", order: "ABORT", wallets: [wallet(2), wallet(3)], abortCause: "CONSENSUS_REACHED" },
    ]);
  });

  test("a contribution that was not reported is filled in after a while, or at once when its worker is lost", () => {
    const sightings = new Map<Address, Sighting>([[wallet(1), { wallet: wallet(1), weight: 2n, seenAt: WALL, provedAt: undefined }]]);
    const scene = { onChain: revealing(), replicates: [replicate(1, { status: "CONTRIBUTING" })], contributions: won, sightings };
    expect(replicatesOf(scene)).toEqual([]);
    expect(decideTask(situation(scene)).wakeWall).toEqual(at(500));
    expect(replicatesOf({ ...scene, wall: at(500) })).toEqual([[wallet(1), "CONTRIBUTED"]]);
    const lost = [replicate(1, { status: "WORKER_LOST", relevant: "CONTRIBUTING", alive: false })];
    expect(replicatesOf({ ...scene, replicates: lost })).toEqual([[wallet(1), "CONTRIBUTED"]]);
  });

  test("a contributor we do not know is adopted", () => {
    expect(effectsOf({ onChain: revealing(), contributions: won })).toContainEqual({ kind: "adopt", wallet: wallet(1) });
  });

  test("one that revealed is asked to upload", () => {
    const scene = { onChain: revealing({ revealCounter: 1n }), replicates: [replicate(1, { status: "REVEALED" })], contributions: proved };
    expect(effectsOf(scene)).toContainEqual({ kind: "request-upload", among: [wallet(1)] });
  });

  test("an upload that does not start is asked of another", () => {
    const two = new Map([...proved, [wallet(2), contribution("PROVED")]]);
    const asked = replicate(1, { status: "RESULT_UPLOAD_REQUESTED", uploadTries: 1 });
    const scene = {
      onChain: revealing({ revealCounter: 2n, winnerCounter: 2n }),
      replicates: [asked, replicate(2, { status: "REVEALED" })],
      contributions: two,
    };
    expect(effectsOf(scene).some(({ kind }) => kind === "request-upload")).toBe(false);
    expect(decideTask(situation(scene)).wakeWall).toEqual(at(1_000));
    expect(replicatesOf({ ...scene, wall: at(1_000) })).toEqual([[wallet(1), "RESULT_UPLOAD_REQUEST_FAILED"]]);
    expect(effectsOf({ ...scene, wall: at(1_000) })).toContainEqual({ kind: "request-upload", among: [wallet(2)] });
  });

  test("the only one that can upload is asked again after a pause that grows", () => {
    const failed = (uploadTries: number) => [replicate(1, { status: "RESULT_UPLOAD_FAILED", uploadTries })];
    const scene = { onChain: revealing({ revealCounter: 1n }), contributions: proved };
    expect(decideTask(situation({ ...scene, replicates: failed(1) })).wakeWall).toEqual(at(100));
    expect(decideTask(situation({ ...scene, replicates: failed(4) })).wakeWall).toEqual(at(800));
    expect(effectsOf({ ...scene, replicates: failed(4), wall: at(800) })).toContainEqual({ kind: "request-upload", among: [wallet(1)] });
  });

  test("a stored result is finalized when all winners revealed, or at the reveal deadline", () => {
    const scene = {
      task: task({ resultLink: "link" }),
      onChain: revealing({ revealCounter: 1n, winnerCounter: 2n }),
      contributions: proved,
    };
    expect(callsOf(scene)).toEqual([]);
    expect(callsOf({ ...scene, time: REVEAL_END })).toEqual(["finalize"]);
    expect(callsOf({ ...scene, onChain: revealing({ revealCounter: 1n }) })).toEqual(["finalize"]);
  });

  test("nobody revealed: reopened while contributions are possible, else left for the claim", () => {
    const scene = {
      onChain: revealing({ revealDeadline: chainTime(START + 300n) }),
      replicates: [replicate(1, { status: "CONTRIBUTED" })],
      contributions: won,
    };
    expect(callsOf({ ...scene, time: START + 300n })).toEqual(["reopen"]);
    expect(replicatesOf({ ...scene, time: START + 300n })).toEqual([[wallet(1), "REVEAL_TIMEOUT"]]);
    expect(callsOf({ ...scene, time: CONTRIBUTION_END })).toEqual([]);
    expect(callsOf({ ...scene, time: FINAL })).toEqual(["claim"]);
  });

  test("a reopened task is offered again, and its rejected contributions count no more", () => {
    const scene = {
      task: task({ status: "REOPENING" as const, resultLink: "old" }),
      onChain: onChain("ACTIVE"),
      replicates: [replicate(1, { status: "REVEAL_TIMEOUT" })],
      contributions: new Map([[wallet(1), contribution("REJECTED")]]),
    };
    expect(statusesOf(scene)).toEqual(["REOPENED", "INITIALIZED"]);
    expect(effectsOf(scene)).toContainEqual({ kind: "demand", open: true });
    expect(effectsOf(scene)).toContainEqual({ kind: "forget-result" });
  });
});

describe("the end", () => {
  const contributions = new Map([
    [wallet(1), contribution("PROVED")],
    [wallet(2), contribution("CONTRIBUTED", HASHES[1])],
  ]);
  const replicates = [replicate(1, { status: "RESULT_UPLOADED" }), replicate(2, { status: "CONTRIBUTED" })];

  test("a finalized task is COMPLETED and everybody is told", () => {
    const effects = effectsOf({ task: task({ status: "FINALIZING" }), onChain: onChain("COMPLETED"), replicates, contributions });
    expect(effects).toContainEqual({ kind: "order", order: "COMPLETE", wallets: [], abortCause: undefined });
    expect(effects.filter(({ kind }) => kind === "task-status")).toHaveLength(2);
  });

  test("silent replicates get their last status after a while, then the task is closed", () => {
    const scene = { task: task({ status: "COMPLETED", endedAt: WALL }), onChain: onChain("COMPLETED"), replicates, contributions };
    expect(decideTask(situation(scene)).wakeWall).toEqual(at(2_000));
    expect(replicatesOf({ ...scene, wall: at(2_000) })).toEqual([
      [wallet(1), "COMPLETED"],
      [wallet(2), "FAILED"],
    ]);
    const told = [replicate(1, { status: "COMPLETED" }), replicate(2, { status: "ABORTED_ON_CONSENSUS_REACHED" })];
    expect(effectsOf({ ...scene, replicates: told })).toEqual([{ kind: "close" }]);
  });
});

const anyTask: fc.Arbitrary<TaskRecord> = fc
  .record({
    status: fc.constantFrom(...TASK_STATUSES),
    open: fc.boolean(),
    ended: fc.boolean(),
    tee: fc.constantFrom(undefined, "tdx" as const),
    trust: fc.bigInt({ min: 0n, max: 200n }),
    resultLink: fc.constantFrom(undefined, "link"),
    challenge: fc.constantFrom(undefined, wallet(99)),
  })
  .map(({ ended, challenge, ...rest }) => task({ ...rest, endedAt: ended ? WALL : undefined, enclaveChallenge: challenge }));

const anyReplicate = (n: number): fc.Arbitrary<ReplicateRecord> =>
  fc
    .record({
      status: fc.constantFrom(...REPLICATE_STATUSES),
      relevant: fc.constantFrom(...REPLICATE_STATUSES.filter((status) => !isDigression(status))),
      alive: fc.boolean(),
      uploadTries: fc.nat(40),
      told: fc.constantFrom(undefined, "REVEAL" as const, "ABORT" as const, "UPLOAD" as const),
      changed: fc.nat(20_000),
      changedChain: fc.bigInt({ min: START, max: FINAL + 50n }).map(chainTime),
    })
    .map(({ changed, status, relevant, ...rest }) =>
      replicate(n, { ...rest, status, relevant: isDigression(status) ? relevant : status, changedAt: at(changed - 10_000) }),
    );

const anyScene: fc.Arbitrary<Situation> = fc
  .record({
    task: anyTask,
    replicates: fc.tuple(...[1, 2, 3].map(anyReplicate)),
    count: fc.nat(3),
    contributions: fc.array(
      fc.tuple(fc.integer({ min: 1, max: 4 }), fc.constantFrom(...CONTRIBUTION_STATUSES.slice(1)), fc.constantFrom(...HASHES)),
      { maxLength: 4 },
    ),
    status: fc.constantFrom<ChainTaskStatus | undefined>(undefined, "UNSET", "ACTIVE", "REVEALING", "COMPLETED", "FAILED"),
    revealDeadline: fc.bigInt({ min: START, max: REVEAL_END }).map(chainTime),
    winnerCounter: fc.bigInt({ min: 1n, max: 3n }),
    revealCounter: fc.bigInt({ min: 0n, max: 3n }),
    time: fc.bigInt({ min: START, max: FINAL + 100n }),
    seen: fc.boolean(),
  })
  .map(({ status, contributions, revealDeadline, winnerCounter, revealCounter, time, seen, count, ...rest }) =>
    situation({
      task: rest.task,
      replicates: rest.replicates.slice(0, count),
      onChain: status === undefined ? undefined : onChain(status, { revealDeadline, winnerCounter, revealCounter }),
      contributions: new Map(contributions.map(([n, state, hash]) => [wallet(n), contribution(state, hash)])),
      sightings: seen ? new Map([[wallet(1), { wallet: wallet(1), weight: 2n, seenAt: at(-10_000), provedAt: at(-10_000) }]]) : new Map(),
      time,
    }),
  );

/** What the store would look like after the effects, with a faithful but simple memory. */
function afterEffects(before: Situation): Situation {
  let record = before.task;
  const replicates = new Map(before.replicates.map((one) => [one.wallet, one]));
  const change = (address: Address, more: Partial<ReplicateRecord>): void => {
    const old = replicates.get(address);
    if (old !== undefined) replicates.set(address, { ...old, ...more });
  };
  const setStatus = (address: Address, status: ReplicateRecord["status"]): void => {
    const relevant = isDigression(status) ? replicates.get(address)?.relevant : status;
    change(address, {
      status,
      ...(relevant === undefined ? {} : { relevant }),
      changedAt: before.now.wall,
      changedChain: before.now.chain,
    });
  };
  for (const effect of decideTask(before).effects) {
    if (effect.kind === "task-status") {
      const over = effect.status === "COMPLETED" || effect.status === "FAILED";
      record = { ...record, status: effect.status, endedAt: over ? (record.endedAt ?? before.now.wall) : undefined };
    }
    if (effect.kind === "demand") record = { ...record, open: effect.open };
    if (effect.kind === "close") record = { ...record, closed: true };
    if (effect.kind === "forget-result") record = { ...record, resultLink: undefined };
    if (effect.kind === "replicate-status") setStatus(effect.wallet, effect.status);
    if (effect.kind === "order") for (const address of effect.wallets) change(address, { told: effect.order });
    if (effect.kind === "adopt")
      replicates.set(
        effect.wallet,
        replicate(0, { wallet: effect.wallet, status: "CONTRIBUTED", alive: false, changedAt: before.now.wall }),
      );
    if (effect.kind === "request-upload") {
      const [first] = effect.among;
      if (first !== undefined) {
        setStatus(first, "RESULT_UPLOAD_REQUESTED");
        change(first, { uploadTries: (replicates.get(first)?.uploadTries ?? 0) + 1 });
      }
    }
  }
  return { ...before, task: record, replicates: [...replicates.values()] };
}

const restless = ({ kind }: Effect): boolean => kind !== "call" && kind !== "enclave-challenge";

describe("in any situation", () => {
  test("the effects come to rest: deciding again asks for nothing new", () => {
    fc.assert(
      fc.property(anyScene, (scene) => {
        let now = scene;
        for (let round = 0; round < 11; round += 1) now = afterEffects(now);
        expect(decideTask(now).effects.filter(restless)).toEqual([]);
      }),
      { numRuns: 3_000 },
    );
  });

  test("a task that is not closed has something to wait for", () => {
    fc.assert(
      fc.property(anyScene, (scene) => {
        let now = scene;
        for (let round = 0; round < 11; round += 1) now = afterEffects(now);
        const { effects, wakeChain, wakeWall } = decideTask(now);
        const waits = wakeChain !== undefined || wakeWall !== undefined || effects.some((effect) => !restless(effect));
        expect(now.task.closed || waits).toBe(true);
      }),
      { numRuns: 3_000 },
    );
  });

  test("transactions are asked for only where the contracts allow them", () => {
    fc.assert(
      fc.property(anyScene, (scene) => {
        const { chain, now } = scene;
        const state = chain.task?.status ?? "UNSET";
        for (const effect of decideTask(scene).effects) {
          if (effect.kind !== "call") continue;
          if (effect.call === "initialize") expect(state).toBe("UNSET");
          if (effect.call === "claim") expect([state === "ACTIVE" || state === "REVEALING", now.chain >= FINAL]).toEqual([true, true]);
          if (effect.call === "reopen") {
            expect([state, chain.task?.revealCounter, now.chain >= (chain.task?.revealDeadline ?? 0n), now.chain < FINAL]).toEqual([
              "REVEALING",
              0n,
              true,
              true,
            ]);
          }
          if (effect.call === "finalize") {
            const { revealCounter = 0n, winnerCounter = 0n, revealDeadline = 0n } = chain.task ?? {};
            const allowed = revealCounter > 0n && (revealCounter >= winnerCounter || now.chain >= revealDeadline) && now.chain < FINAL;
            expect([state, allowed, scene.task.resultLink]).toEqual(["REVEALING", true, "link"]);
          }
        }
      }),
      { numRuns: 3_000 },
    );
  });

  test("no settled replicate is touched, and lost workers are marked by a legal move", () => {
    fc.assert(
      fc.property(anyScene, (scene) => {
        const before = new Map(scene.replicates.map(({ wallet: address, status }) => [address, status]));
        for (const effect of decideTask(scene).effects) {
          if (effect.kind !== "replicate-status") continue;
          const from = before.get(effect.wallet);
          if (from === undefined) continue;
          expect(isSettled(from)).toBe(false);
          if (effect.status === "WORKER_LOST") expect(canFollow(from, "WORKER_LOST")).toBe(true);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("the same situation gives the same decision", () => {
    fc.assert(fc.property(anyScene, (scene) => expect(decideTask(scene)).toEqual(decideTask(scene))));
  });
});
