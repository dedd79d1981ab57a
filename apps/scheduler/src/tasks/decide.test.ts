import { type Address, type ChainTask, chainTime } from "@iexec-ts/poco";
import { describe, expect, test } from "vitest";
import type { Sighting } from "../model.ts";
import {
  at,
  CONTRIBUTION_END,
  contribution,
  FINAL,
  HASHES,
  onChain,
  PERIOD,
  REVEAL_END,
  replicate,
  type Scene,
  START,
  situation,
  task,
  WALL,
  wallet,
} from "../test/scenes.ts";
import { decideTask } from "./decide.ts";
import type { Effect } from "./decision.ts";

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

  test("a reveal that does not begin is asked for again", () => {
    const told = replicate(1, { status: "CONTRIBUTED", told: "REVEAL", toldAt: WALL });
    const scene = { onChain: revealing(), replicates: [told], contributions: won };
    const orders = (wall: Date) => effectsOf({ ...scene, wall }).filter(({ kind }) => kind === "order");
    expect(orders(at(699))).toEqual([]);
    expect(decideTask(situation(scene)).wakeWall).toEqual(at(700));
    expect(orders(at(700))).toHaveLength(1);
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

  test("a worker that never reported its contribution gets it recorded before its REVEAL_TIMEOUT", () => {
    const scene = {
      onChain: revealing({ revealDeadline: chainTime(START + 300n) }),
      replicates: [replicate(1, { status: "CONTRIBUTING" })],
      contributions: won,
      time: START + 300n,
    };
    expect(replicatesOf(scene)).toEqual([[wallet(1), "CONTRIBUTED"]]);
    expect(replicatesOf({ ...scene, replicates: [replicate(1, { status: "CONTRIBUTED" })] })).toEqual([[wallet(1), "REVEAL_TIMEOUT"]]);
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
