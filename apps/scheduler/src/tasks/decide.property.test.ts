import {
  type Address,
  type ChainTaskStatus,
  CONTRIBUTION_STATUSES,
  canFollow,
  chainTime,
  REPLICATE_STATUSES,
  TASK_STATUSES,
} from "@iexec-ts/poco";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ReplicateRecord, TaskRecord } from "../model.ts";
import { isDigression, isSettled } from "../replicates/classes.ts";
import { at, contribution, FINAL, HASHES, onChain, REVEAL_END, replicate, START, situation, task, WALL, wallet } from "../test/scenes.ts";
import { decideTask } from "./decide.ts";
import type { Effect, Situation } from "./decision.ts";

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
      toldAgo: fc.nat(2_000),
      changed: fc.nat(20_000),
      changedChain: fc.bigInt({ min: START, max: FINAL + 50n }).map(chainTime),
    })
    .map(({ changed, toldAgo, status, relevant, ...rest }) =>
      replicate(n, {
        ...rest,
        status,
        relevant: isDigression(status) ? relevant : status,
        changedAt: at(changed - 10_000),
        toldAt: rest.told === undefined ? undefined : at(-toldAgo),
      }),
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
    if (effect.kind === "order") for (const address of effect.wallets) change(address, { told: effect.order, toldAt: before.now.wall });
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
    fc.assert(
      fc.property(anyScene, (scene) => {
        expect(decideTask(scene)).toEqual(decideTask(scene));
      }),
    );
  });
});
