import { chainTime, REPLICATE_STATUSES, statusRow } from "@iexec-ts/poco";
import { describe, expect, test } from "vitest";
import { CONTRIBUTION_END, contribution, FINAL, HASHES, onChain, REVEAL_END, replicate, START, task } from "../test/scenes.ts";
import { givesUpContribution, isSettled, knowsContribution, knowsReveal } from "./classes.ts";
import { nextAction } from "./next-action.ts";
import { resumptionOf } from "./recovery.ts";

describe("next action", () => {
  // wire.md 3.4, in guide words
  test.each([
    ["RUNNING", undefined, "PLEASE_DOWNLOAD_APP"],
    ["APP_DOWNLOADING", undefined, "PLEASE_CONTINUE"],
    ["APP_DOWNLOADED", undefined, "PLEASE_DOWNLOAD_DATA"],
    ["DATA_DOWNLOADED", undefined, "PLEASE_COMPUTE"],
    ["COMPUTED", undefined, "PLEASE_CONTRIBUTE"],
    ["APP_DOWNLOAD_FAILED", "APP_IMAGE_DOWNLOAD_FAILED", "PLEASE_CONTRIBUTE"],
    ["APP_DOWNLOAD_FAILED", "POST_COMPUTE_FAILED_UNKNOWN_ISSUE", "PLEASE_ABORT"],
    ["DATA_DOWNLOAD_FAILED", "DATASET_FILE_BAD_CHECKSUM", "PLEASE_CONTRIBUTE"],
    ["DATA_DOWNLOAD_FAILED", "INPUT_FILES_DOWNLOAD_FAILED", "PLEASE_CONTRIBUTE"],
    ["DATA_DOWNLOAD_FAILED", "STAKE_TOO_LOW", "PLEASE_ABORT"],
    ["COMPUTE_FAILED", undefined, "PLEASE_ABORT"],
    ["CONTRIBUTED", undefined, "PLEASE_WAIT"],
    ["REVEALED", undefined, "PLEASE_WAIT"],
    ["RESULT_UPLOADED", undefined, "PLEASE_WAIT"],
    ["COMPLETED", undefined, "PLEASE_WAIT"],
  ] as const)("%s (%s) is answered with %s", (status, cause, action) => {
    expect(nextAction(status, cause, task())).toBe(action);
  });

  test("a TEE task of trust 1 is contributed and finalized in one go", () => {
    expect(nextAction("COMPUTED", undefined, task({ tee: "tdx" }))).toBe("PLEASE_CONTRIBUTE_AND_FINALIZE");
    expect(nextAction("COMPUTED", undefined, task({ tee: "tdx", trust: 5n }))).toBe("PLEASE_CONTRIBUTE");
  });
});

describe("a worker that comes back", () => {
  const resume = (
    status: Parameters<typeof onChain>[0] | undefined,
    ours: Parameters<typeof contribution>[0],
    more: { readonly time?: bigint; readonly last?: Parameters<typeof replicate>[1]; readonly hash?: (typeof HASHES)[number] } = {},
  ) =>
    resumptionOf(
      task(),
      replicate(1, more.last ?? { status: "COMPUTED" }),
      status === undefined ? undefined : onChain(status),
      contribution(ours, more.hash ?? HASHES[0]),
      chainTime(more.time ?? START),
    )?.action;

  // wire.md 1.4
  test.each([
    ["before its contribution", resume("ACTIVE", "UNSET"), "PLEASE_CONTRIBUTE"],
    ["with its contribution on chain", resume("ACTIVE", "CONTRIBUTED"), "PLEASE_WAIT"],
    ["after the contribution deadline", resume("ACTIVE", "UNSET", { time: CONTRIBUTION_END }), "PLEASE_ABORT"],
    ["after a consensus without it", resume("REVEALING", "UNSET"), "PLEASE_ABORT"],
    ["after a consensus on another result", resume("REVEALING", "CONTRIBUTED", { hash: HASHES[1] }), "PLEASE_ABORT"],
    ["as a winner", resume("REVEALING", "CONTRIBUTED"), "PLEASE_REVEAL"],
    ["as a winner that is too late", resume("REVEALING", "CONTRIBUTED", { time: REVEAL_END }), "PLEASE_ABORT"],
    ["after its reveal", resume("REVEALING", "PROVED", { last: { status: "REVEALED" } }), "PLEASE_WAIT"],
    ["asked to upload", resume("REVEALING", "PROVED", { last: { status: "RESULT_UPLOAD_REQUESTED" } }), "PLEASE_UPLOAD"],
    ["in the middle of its upload", resume("REVEALING", "PROVED", { last: { status: "RESULT_UPLOADING" } }), "PLEASE_UPLOAD"],
    ["after the final deadline", resume("REVEALING", "PROVED", { time: FINAL }), "PLEASE_ABORT"],
    ["to a finalized task that paid it", resume("COMPLETED", "PROVED"), "PLEASE_COMPLETE"],
    ["to a finalized task that did not", resume("COMPLETED", "CONTRIBUTED"), "PLEASE_ABORT"],
    ["to a task that is not on chain", resume(undefined, "UNSET"), undefined],
    ["having given up", resume("ACTIVE", "UNSET", { last: { status: "CONTRIBUTE_FAILED" } }), undefined],
    ["having told its last word", resume("COMPLETED", "PROVED", { last: { status: "COMPLETED" } }), undefined],
  ])("%s", (_, action, expected) => {
    expect(action).toBe(expected);
  });
});

describe("what statuses mean for a task", () => {
  test("the classes agree with the table of transitions", () => {
    for (const status of REPLICATE_STATUSES) {
      if (knowsReveal(status)) expect(knowsContribution(status)).toBe(true);
      if (statusRow(status).final) expect(isSettled(status)).toBe(true);
      if (status.startsWith("CANT_CONTRIBUTE") || status.startsWith("ABORTED")) expect(givesUpContribution(status)).toBe(true);
    }
  });
});
