import { type ChainTime, chainTime, REPLICATE_STATUSES, type ReplicateStatus } from "@iexec-ts/poco";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  BELIEVED_AFTER_MS,
  canReach,
  Doubt,
  describeReplicates,
  type Outlook,
  type OutlookChain,
  type OutlookReplicate,
  type OutlookWorker,
  type Wish,
  whyImpossible,
} from "./outlook.ts";

const time = (seconds: number): ChainTime => chainTime(BigInt(seconds));
const COMPLETED: Wish = { kind: "task", status: "COMPLETED" };

const chain = (change: Partial<OutlookChain> = {}): OutlookChain => ({
  status: "ACTIVE",
  contributionDeadline: time(700),
  revealDeadline: time(0),
  finalDeadline: time(1_000),
  revealCounter: 0n,
  now: time(100),
  ...change,
});
const replicate = (wallet: string, status: ReplicateStatus, cause?: string): OutlookReplicate => ({ wallet, status, cause });
const worker = (wallet: string, gone?: string): OutlookWorker => ({ wallet, gone });
const outlook = (change: Partial<Outlook> & { readonly replicates?: readonly OutlookReplicate[]; readonly wants?: boolean }): Outlook => ({
  task: { status: "RUNNING", wantsReplicates: change.wants ?? false, replicates: change.replicates ?? [] },
  chain: chain(),
  workers: [worker("0xa"), worker("0xb"), worker("0xc")],
  silent: [],
  ...change,
});

describe("what cannot come any more", () => {
  const computing = [replicate("0xa", "COMPUTING"), replicate("0xb", "COMPUTING"), replicate("0xc", "COMPUTING")];
  const oneFailed = [
    replicate("0xa", "CONTRIBUTED"),
    replicate("0xb", "CONTRIBUTED"),
    replicate("0xc", "COMPUTE_FAILED", "APP_COMPUTE_FAILED"),
  ];

  const POSSIBLE: readonly (readonly [string, Outlook, Wish])[] = [
    ["nothing is known yet", { task: undefined, chain: undefined, workers: [], silent: [] }, COMPLETED],
    ["three compute", outlook({ replicates: computing }), COMPLETED],
    [
      "one failed, a fourth has not tried",
      outlook({ replicates: oneFailed, wants: true, workers: [worker("0xa"), worker("0xd")] }),
      COMPLETED,
    ],
    [
      "one was lost and came back",
      outlook({ replicates: [replicate("0xa", "WORKER_LOST")], wants: true, workers: [worker("0xa")] }),
      COMPLETED,
    ],
    ["one failed and the others suffice", outlook({ replicates: oneFailed }), COMPLETED],
    ["the scheduler is restarted", outlook({ silent: [{ who: "the scheduler", forMs: 3_000, reason: "ECONNREFUSED" }] }), COMPLETED],
    [
      "it was revealed late, but revealed",
      outlook({ chain: chain({ status: "REVEALING", revealDeadline: time(50), revealCounter: 1n }) }),
      COMPLETED,
    ],
    ["nobody revealed, and it can be reopened", outlook({ chain: chain({ status: "REVEALING", revealDeadline: time(50) }) }), COMPLETED],
    [
      "a failure is what is waited for",
      outlook({ replicates: oneFailed, wants: true, chain: chain({ now: time(900) }) }),
      { kind: "replicate", status: "ABORTED_ON_CONTRIBUTION_TIMEOUT", wallet: "0xa" },
    ],
    [
      "the end is waited for that the failed one comes to",
      outlook({ replicates: oneFailed, wants: true }),
      { kind: "replicate", status: "FAILED", wallet: "0xc" },
    ],
  ];
  test.each(POSSIBLE)("still possible: %s", (_, given, wish) => expect(whyImpossible(given, wish)).toBeUndefined());

  const IMPOSSIBLE: readonly (readonly [string, RegExp, Outlook, Wish])[] = [
    ["every worker has tried", /too few workers/, outlook({ replicates: oneFailed, wants: true }), COMPLETED],
    [
      "the last one is gone",
      /too few workers.*0xd: WRK-1315/,
      outlook({ replicates: oneFailed, wants: true, workers: [worker("0xa"), worker("0xd", "WRK-1315")] }),
      COMPLETED,
    ],
    ["all are gone before one took it", /no worker is left/, outlook({ workers: [worker("0xa", "halted")] }), COMPLETED],
    ["it was claimed", /claimed/, outlook({ chain: chain({ status: "FAILED" }) }), COMPLETED],
    [
      "the pool gave it up",
      /given the task up/,
      outlook({ task: { status: "FAILED", wantsReplicates: false, replicates: computing } }),
      COMPLETED,
    ],
    ["contribution deadline", /contribution deadline/, outlook({ chain: chain({ now: time(700) }) }), COMPLETED],
    [
      "nobody revealed",
      /nobody revealed/,
      outlook({ chain: chain({ status: "REVEALING", revealDeadline: time(750), now: time(800) }) }),
      COMPLETED,
    ],
    [
      "final deadline",
      /final deadline/,
      outlook({ chain: chain({ status: "REVEALING", revealCounter: 2n, now: time(1_000) }) }),
      COMPLETED,
    ],
    [
      "the scheduler is gone",
      /not answered for 31 s: ECONNREFUSED/,
      outlook({ silent: [{ who: "it", forMs: 31_000, reason: "ECONNREFUSED" }] }),
      COMPLETED,
    ],
    [
      "its worker's process ended",
      /ended with 3/,
      outlook({ workers: [worker("0xa", "its process ended with 3"), worker("0xb")] }),
      { kind: "replicate", status: "COMPUTING", wallet: "0xA" },
    ],
    [
      "it took another end",
      /no replicate can come to COMPLETED/,
      outlook({ replicates: [replicate("0xa", "FAILED")] }),
      { kind: "replicate", status: "COMPLETED", wallet: "0xa" },
    ],
    [
      "the task is over",
      /no replicate can come to WORKER_LOST/,
      outlook({ task: { status: "COMPLETED", wantsReplicates: false, replicates: [replicate("0xa", "COMPLETED")] } }),
      { kind: "replicate", status: "WORKER_LOST", wallet: undefined },
    ],
  ];
  test.each(IMPOSSIBLE)("impossible: %s", (_, why, given, wish) => expect(whyImpossible(given, wish)).toMatch(why));
});

const status = fc.constantFrom(...REPLICATE_STATUSES);
const wallets = ["0xa", "0xb", "0xc", "0xd"];
const anyOutlook: fc.Arbitrary<Outlook> = fc.record({
  task: fc.record({
    status: fc.constantFrom("INITIALIZED", "RUNNING", "CONSENSUS_REACHED", "FINALIZING"),
    wantsReplicates: fc.boolean(),
    replicates: fc.uniqueArray(fc.record({ wallet: fc.constantFrom(...wallets), status, cause: fc.constant(undefined) }), {
      selector: ({ wallet }) => wallet,
    }),
  }),
  chain: fc.constantFrom(chain(), chain({ status: "REVEALING", revealDeadline: time(200) }), undefined),
  workers: fc.constant(wallets.map((wallet) => worker(wallet))),
  silent: fc.constant([]),
});

test("with the deadlines open, a worker that has not tried, and nobody gone, the task can always be completed", () => {
  fc.assert(
    fc.property(anyOutlook, (given) => {
      const tried = new Set(given.task?.replicates.map(({ wallet }) => wallet));
      fc.pre(wallets.some((wallet) => !tried.has(wallet)));
      expect(whyImpossible(given, COMPLETED)).toBeUndefined();
    }),
  );
});

test("a status that a replicate has, or can come to in steps of the table, is never called impossible while its worker is there", () => {
  fc.assert(
    fc.property(anyOutlook, status, (given, wanted) => {
      const { task } = given;
      const those = task?.replicates.filter((r) => r.status === wanted || canReach(r.status, wanted)) ?? [];
      fc.pre(those.length > 0 && task?.wantsReplicates === false);
      expect(whyImpossible(given, { kind: "replicate", status: wanted, wallet: those[0]?.wallet })).toBeUndefined();
    }),
  );
});

test("more workers never make it impossible", () => {
  fc.assert(
    fc.property(anyOutlook, status, (given, wanted) => {
      const wish: Wish = { kind: "replicate", status: wanted, wallet: undefined };
      fc.pre(whyImpossible(given, wish) === undefined);
      expect(whyImpossible({ ...given, workers: [...given.workers, worker("0xe")] }, wish)).toBeUndefined();
    }),
  );
});

test("a reason is believed once it has stood, and forgotten when it goes", () => {
  let now = 0;
  const doubt = new Doubt(() => now);
  expect(doubt.look("gone")).toBeUndefined();
  now = BELIEVED_AFTER_MS - 1;
  expect(doubt.look("gone")).toBeUndefined();
  expect(doubt.look(undefined)).toBeUndefined();
  now = 2 * BELIEVED_AFTER_MS;
  expect(doubt.look("gone")).toBeUndefined();
  now = 3 * BELIEVED_AFTER_MS;
  expect(doubt.look("gone")).toBe("gone");
});

test("the replicates are named with their last status and cause", () => {
  const task = { status: "RUNNING", wantsReplicates: true, replicates: [replicate("0xa", "COMPUTE_FAILED", "APP_COMPUTE_FAILED")] };
  expect(describeReplicates(task, () => "worker-1")).toBe("worker-1 COMPUTE_FAILED (APP_COMPUTE_FAILED)");
  expect(describeReplicates(undefined)).toBe("no worker has taken it");
});
