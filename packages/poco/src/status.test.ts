import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  canFollow,
  isFinal,
  isReplicateStatus,
  REPLICATE_STATUSES,
  type ReplicateStatus,
  STATUS_TRANSITIONS,
  statusRow,
  statusTransition,
} from "./status.ts";

const ofOrigin = (origin: "3.0.1" | "ours") => STATUS_TRANSITIONS.filter((transition) => transition.origin === origin);
const anyStatus = fc.constantFrom(...REPLICATE_STATUSES);

describe("the table", () => {
  test("has the 36 statuses of the guide", () => {
    expect(REPLICATE_STATUSES).toHaveLength(36);
    expect(new Set(REPLICATE_STATUSES).size).toBe(36);
  });

  test("every status that is not final has an exit, and no final one has", () => {
    for (const status of REPLICATE_STATUSES) {
      const { next, final } = statusRow(status);
      expect(next.length === 0, status).toBe(final);
    }
    expect(REPLICATE_STATUSES.filter(isFinal)).toEqual(["COMPLETED", "FAILED"]);
  });

  test("every status that is not final can come to a final one", () => {
    const ends = new Set<ReplicateStatus>(REPLICATE_STATUSES.filter(isFinal));
    for (let grown = true; grown; ) {
      const found = REPLICATE_STATUSES.filter((status) => !ends.has(status) && statusRow(status).next.some((next) => ends.has(next)));
      for (const status of found) ends.add(status);
      grown = found.length > 0;
    }
    expect(ends.size).toBe(36);
  });

  test("every status is reachable from CREATED", () => {
    const seen = new Set<ReplicateStatus>();
    const queue: ReplicateStatus[] = ["CREATED"];
    for (let status = queue.pop(); status !== undefined; status = queue.pop()) {
      if (seen.has(status)) continue;
      seen.add(status);
      queue.push(...statusRow(status).next);
    }
    expect(seen.size).toBe(36);
  });

  test("a transition has one origin, and ours have a reason", () => {
    const ends = STATUS_TRANSITIONS.map(({ from, to }) => `${from}>${to}`);
    expect(new Set(ends).size).toBe(ends.length);
    expect(ofOrigin("3.0.1").every(({ reason }) => reason === undefined)).toBe(true);
    expect(ofOrigin("ours").every(({ reason = "" }) => reason !== "")).toBe(true);
  });

  test("rows, transitions and canFollow say the same", () => {
    fc.assert(
      fc.property(anyStatus, anyStatus, (from, to) => {
        const legal = canFollow(from, to);
        expect(statusRow(from).next.includes(to)).toBe(legal);
        expect(statusTransition(from, to) !== undefined).toBe(legal);
      }),
    );
  });

  test("setters follow 3.0.1", () => {
    const setBy = (setter: string) => REPLICATE_STATUSES.filter((status) => statusRow(status).setBy === setter);
    expect(setBy("scheduler")).toEqual(["CREATED", "RESULT_UPLOAD_REQUESTED", "RESULT_UPLOAD_REQUEST_FAILED", "WORKER_LOST"]);
    expect(setBy("either")).toEqual([
      "CONTRIBUTED",
      "REVEALED",
      "RESULT_UPLOADED",
      "RESULT_UPLOAD_FAILED",
      "COMPLETED",
      "REVEAL_TIMEOUT",
      "FAILED",
      "RECOVERING",
    ]);
  });

  test("every status says what it means and what to do", () => {
    for (const status of REPLICATE_STATUSES) {
      expect(statusRow(status).meaning.length, status).toBeGreaterThan(10);
      expect(statusRow(status).advice, status).toMatch(/\.$/);
    }
  });
});

describe("3.0.1, verbatim", () => {
  const next = (from: ReplicateStatus) => ofOrigin("3.0.1").flatMap((t) => (t.from === from ? [t.to] : []));

  test("counts of targets", () => {
    const counts = Object.fromEntries(REPLICATE_STATUSES.map((status) => [status, next(status).length]));
    expect(counts).toMatchObject({
      CREATED: 6,
      APP_DOWNLOADING: 7,
      APP_DOWNLOAD_FAILED: 9,
      COMPUTED: 10,
      CAN_CONTRIBUTE: 7,
      CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW: 4,
      CONTRIBUTED: 9,
      REVEALING: 6,
      REVEALED: 5,
      RESULT_UPLOADED: 3,
      WORKER_LOST: 9,
      RECOVERING: 31,
    });
    for (const end of ["CANT_REVEAL", "REVEAL_FAILED", "REVEAL_TIMEOUT", "RESULT_UPLOAD_FAILED", "COMPLETED", "FAILED"] as const) {
      expect(counts[end], end).toBe(0);
    }
  });

  test("RECOVERING goes everywhere but to five", () => {
    const missing = REPLICATE_STATUSES.filter((status) => !next("RECOVERING").includes(status));
    expect(missing).toEqual(["CANT_REVEAL", "REVEAL_FAILED", "RESULT_UPLOAD_REQUEST_FAILED", "RESULT_UPLOAD_FAILED", "REVEAL_TIMEOUT"]);
  });
});

describe("ours", () => {
  test.each([
    ["OUT_OF_GAS", "REVEALING"],
    ["OUT_OF_GAS", "CAN_CONTRIBUTE"],
    ["RUNNING", "CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE"],
    ["CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET", "CONTRIBUTED"],
    ["RESULT_UPLOAD_FAILED", "COMPLETED"],
    ["RESULT_UPLOAD_REQUESTED", "RESULT_UPLOADED"],
    ["WORKER_LOST", "REVEALED"],
    ["REVEAL_TIMEOUT", "FAILED"],
  ] as const)("%s -> %s", (from, to) => {
    expect(statusTransition(from, to)?.origin).toBe("ours");
  });

  test("never skips the reveal", () => {
    expect(canFollow("CONTRIBUTED", "COMPLETED")).toBe(false);
    expect(canFollow("COMPUTED", "CONTRIBUTED")).toBe(false);
    expect(canFollow("CONTRIBUTED", "REVEALED")).toBe(false);
  });

  test("WORKER_LOST and RECOVERING go everywhere", () => {
    expect(statusRow("WORKER_LOST").next).toEqual(REPLICATE_STATUSES);
    expect(statusRow("RECOVERING").next).toEqual(REPLICATE_STATUSES);
  });
});

test("only the 36 names are statuses", () => {
  fc.assert(fc.property(fc.string(), (text) => isReplicateStatus(text) === REPLICATE_STATUSES.some((status) => status === text)));
  expect(isReplicateStatus("toString")).toBe(false);
  expect(isReplicateStatus(36)).toBe(false);
});

test.each([
  ["DATA_DOWNLOADING", "Your worker is downloaing the dataset"],
  ["RECOVERING", "Your worker has been stop, it is starting back from where it stop"],
  ["RESULT_UPLOADED", "The result is uploaded (to an iExec Result Repository or to IPFS)"],
] as const)("%s means what the guide says, spelling included", (status, meaning) => {
  expect(statusRow(status).meaning).toBe(meaning);
});
