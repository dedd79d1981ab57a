import { isReplicateStatus, REPLICATE_STATUSES, type ReplicateStatus } from "@iexec-ts/poco";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromV9, v9NextAction } from "./from-v9.ts";
import { toV9 } from "./to-v9.ts";
import { isV9Cause, V9_CAUSES, V9_STATUSES, type V9Cause, type V9Status } from "./v9-names.ts";

const status = fc.constantFrom(...REPLICATE_STATUSES);
const cause = fc.option(fc.oneof(fc.constantFrom(...V9_CAUSES), fc.constantFrom("WRK-1203", "nonsense")), { nil: undefined });
const previous = fc.option(status, { nil: undefined });
const reportWith = (name: ReplicateStatus, why: string | undefined) => ({ status: name, ...(why === undefined ? {} : { cause: why }) });
const names = (name: ReplicateStatus, why?: string, before?: ReplicateStatus) =>
  toV9(reportWith(name, why), before).map((update) => (update.cause === undefined ? update.status : `${update.status} ${update.cause}`));

describe("guide -> v9 (wire.md 4.3)", () => {
  test("only names that a v9 scheduler knows are ever sent", () => {
    const known: ReadonlySet<string> = new Set(V9_STATUSES);
    fc.assert(
      fc.property(status, cause, previous, (name, why, before) => {
        for (const update of toV9(reportWith(name, why), before)) {
          expect(known.has(update.status)).toBe(true);
          if (update.cause !== undefined) expect(isV9Cause(update.cause)).toBe(true);
        }
      }),
    );
  });

  test("details travel once, with the last update", () => {
    fc.assert(
      fc.property(status, cause, previous, (name, why, before) => {
        const updates = toV9(reportWith(name, why), before);
        expect(updates.map((update) => update.carriesDetails)).toEqual(updates.map((_, index) => index === updates.length - 1));
      }),
    );
  });

  test.each([
    ["RUNNING", undefined, ["STARTING", "STARTED"]],
    ["CAN_CONTRIBUTE", undefined, []],
    ["CREATED", undefined, []],
    ["RECOVERING", undefined, []],
    ["WORKER_LOST", undefined, []],
    ["RESULT_UPLOAD_REQUEST_FAILED", undefined, []],
    ["APP_DOWNLOAD_FAILED", undefined, ["APP_DOWNLOAD_FAILED APP_IMAGE_DOWNLOAD_FAILED"]],
    ["DATA_DOWNLOAD_FAILED", "DATASET_FILE_BAD_CHECKSUM", ["DATA_DOWNLOAD_FAILED DATASET_FILE_BAD_CHECKSUM"]],
    ["DATA_DOWNLOAD_FAILED", "PAY-1301", ["DATA_DOWNLOAD_FAILED DATASET_FILE_DOWNLOAD_FAILED"]],
    ["COMPUTED", undefined, ["COMPUTED"]],
    ["COMPUTE_FAILED", "APP_COMPUTE_TIMEOUT", ["COMPUTE_FAILED APP_COMPUTE_TIMEOUT"]],
    ["CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW", "UNKNOWN", ["ABORTED STAKE_TOO_LOW"]],
    ["CANT_CONTRIBUTE_SINCE_TASK_NOT_ACTIVE", undefined, ["ABORTED TASK_NOT_ACTIVE"]],
    ["CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE", undefined, ["ABORTED CONTRIBUTION_TIMEOUT"]],
    ["CANT_CONTRIBUTE_SINCE_CONTRIBUTION_ALREADY_SET", undefined, ["ABORTED CONTRIBUTION_ALREADY_SET"]],
    ["CONTRIBUTE_FAILED", "CHAIN_UNREACHABLE", ["CONTRIBUTE_FAILED CHAIN_UNREACHABLE", "ABORTED CHAIN_UNREACHABLE"]],
    ["CANT_REVEAL", undefined, ["ABORTED CANNOT_REVEAL"]],
    ["REVEAL_FAILED", undefined, ["REVEAL_FAILED CHAIN_RECEIPT_NOT_VALID", "ABORTED CHAIN_RECEIPT_NOT_VALID"]],
    ["RESULT_UPLOAD_FAILED", undefined, ["RESULT_UPLOAD_FAILED RESULT_LINK_MISSING"]],
    ["COMPLETED", undefined, ["COMPLETING", "COMPLETED"]],
    ["ABORTED_ON_CONSENSUS_REACHED", undefined, ["ABORTED CONSENSUS_REACHED"]],
    ["ABORTED_ON_CONTRIBUTION_TIMEOUT", undefined, ["ABORTED CONTRIBUTION_TIMEOUT"]],
    ["REVEAL_TIMEOUT", undefined, ["ABORTED REVEAL_TIMEOUT"]],
    ["FAILED", undefined, ["ABORTED UNKNOWN"]],
  ] satisfies [ReplicateStatus, string | undefined, string[]][])("%s (%s)", (name, why, expected) => {
    expect(names(name, why)).toEqual(expected);
  });

  test("an empty wallet gives a task back only while nothing is at stake", () => {
    expect(names("OUT_OF_GAS", undefined, "CAN_CONTRIBUTE")).toEqual(["ABORTED OUT_OF_GAS"]);
    expect(names("OUT_OF_GAS", undefined, "CONTRIBUTED")).toEqual([]);
    expect(names("OUT_OF_GAS", undefined, "REVEALING")).toEqual([]);
    expect(names("OUT_OF_GAS")).toEqual([]);
  });
});

describe("v9 -> guide (wire.md 4.3, right column)", () => {
  const v9 = fc.constantFrom(...V9_STATUSES);
  const v9Cause = fc.option(fc.constantFrom(...V9_CAUSES), { nil: undefined });

  test("every pair is read as guide statuses", () => {
    fc.assert(fc.property(v9, v9Cause, (name, why) => fromV9(name, why).every(isReplicateStatus)));
  });

  test.each([
    ["STARTED", undefined, ["RUNNING"]],
    ["START_FAILED", "TASK_DESCRIPTION_INVALID", ["FAILED"]],
    ["START_FAILED", "STAKE_TOO_LOW", ["CANT_CONTRIBUTE_SINCE_STAKE_TOO_LOW"]],
    ["COMPUTE_FAILED", "CONTRIBUTION_TIMEOUT", ["CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE"]],
    ["APP_DOWNLOAD_FAILED", "POST_COMPUTE_FAILED_UNKNOWN_ISSUE", ["APP_DOWNLOAD_FAILED"]],
    ["CONTRIBUTING", undefined, ["CAN_CONTRIBUTE", "CONTRIBUTING"]],
    ["CONTRIBUTE_AND_FINALIZE_DONE", undefined, ["CONTRIBUTED", "REVEALED", "RESULT_UPLOADED"]],
    ["CONTRIBUTE_AND_FINALIZE_FAILED", "OUT_OF_GAS", ["OUT_OF_GAS"]],
    ["CONTRIBUTE_AND_FINALIZE_FAILED", "TRUST_NOT_1", ["CONTRIBUTE_FAILED"]],
    ["REVEAL_FAILED", "CONSENSUS_BLOCK_MISSING", ["CANT_REVEAL"]],
    ["REVEAL_FAILED", "CHAIN_RECEIPT_NOT_VALID", ["REVEAL_FAILED"]],
    ["COMPLETING", undefined, []],
    ["COMPLETE_FAILED", undefined, []],
    ["FAILED", "REVEAL_TIMEOUT", ["REVEAL_TIMEOUT"]],
    ["FAILED", undefined, ["FAILED"]],
    ["ABORTED", "CONSENSUS_REACHED", ["ABORTED_ON_CONSENSUS_REACHED"]],
    ["ABORTED", "CONTRIBUTION_TIMEOUT", ["ABORTED_ON_CONTRIBUTION_TIMEOUT"]],
    ["ABORTED", "UNKNOWN", ["FAILED"]],
    ["ABORTED", undefined, ["FAILED"]],
  ] satisfies [V9Status, V9Cause | undefined, ReplicateStatus[]][])("(%s, %s)", (name, why, expected) => {
    expect(fromV9(name, why)).toEqual(expected);
  });

  test("what v9 can say comes back as it was", () => {
    // v9 has one word for both ends of a late contribution, and none for a failure after the fact.
    const lossy = new Set<ReplicateStatus>(["CANT_CONTRIBUTE_SINCE_AFTER_DEADLINE", "CONTRIBUTE_FAILED", "REVEAL_FAILED"]);
    for (const name of REPLICATE_STATUSES) {
      const last = toV9({ status: name }, "CAN_CONTRIBUTE").at(-1);
      if (last === undefined || lossy.has(name)) continue;
      expect([name, fromV9(last.status, last.cause).at(-1)]).toEqual([name, name]);
    }
  });

  test("every status has an answer for a v9 worker, and an aborted one is left alone", () => {
    fc.assert(fc.property(v9, v9Cause, (name, why) => v9NextAction(name, why) !== undefined));
    expect(v9NextAction("ABORTED", undefined)).toBe("PLEASE_WAIT");
    expect(v9NextAction("APP_DOWNLOAD_FAILED", "APP_IMAGE_DOWNLOAD_FAILED")).toBe("PLEASE_CONTRIBUTE");
    expect(v9NextAction("APP_DOWNLOAD_FAILED", "STAKE_TOO_LOW")).toBe("PLEASE_ABORT");
  });
});
