import { CATALOGUE, CodedError, type ErrorCode } from "@iexec-ts/service";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Stage } from "./decide.ts";
import { FAULTS, faultFrom, faultOf } from "./faults.ts";
import { giveBack } from "./give-back.ts";
import { STAGES } from "./stages/index.ts";
import { BEFORE, IMAGE, StageWorld, TASK } from "./test/stage-world.ts";

const never = new AbortController().signal;
const isCode = (text: string): text is ErrorCode => Object.hasOwn(CATALOGUE, text);
const CODES = Object.keys(CATALOGUE).filter(isCode);
const coded = (code: ErrorCode): CodedError => new CodedError(code, { reason: "planted" });

/**
 * Written down a second time, by somebody who did not look at the table: what an app, or the requester who chose it, can bring about in a
 * computation. Whatever else happens there is not theirs.
 */
const DOING_OF_THE_TASK: ReadonlySet<string> = new Set(
  [
    ["SBX-1101", "SBX-1102", "SBX-1106", "SBX-1108", "SBX-1203", "SBX-1303", "SBX-1304", "SBX-1305", "SBX-1306"],
    ["PAY-1101", "PAY-1102", "PAY-1106", "PAY-1108", "PAY-1109", "PAY-1112", "PAY-1121", "PAY-1122", "PAY-1123"],
    ["PAY-1201", "PAY-1202", "PAY-1203", "PAY-1204", "PAY-1205", "PAY-1206", "PAY-1207", "PAY-1208", "PAY-1209"],
    ["PAY-1211", "PAY-1212", "PAY-1213", "PAY-1214", "PAY-1217", "WRK-1308"],
  ].flat(),
);
/** The same for whom the requester relies on: a registry, a file server, somebody who sends round in circles. */
const DOING_OF_A_SUPPLIER: ReadonlySet<string> = new Set(
  "SBX-1103 SBX-1104 SBX-1107 SBX-1109 PAY-1103 PAY-1104 PAY-1105 PAY-1107 WRK-1502".split(" "),
);

test("the table blames the task for what is on the list, and a supplier for what is on the other", () => {
  const blamed = (...whom: readonly string[]) =>
    Object.entries(FAULTS)
      .filter(([, { blame, follows }]) => whom.includes(blame) && follows.endsWith("report"))
      .map(([code]) => code)
      .sort();
  expect(blamed("app", "requester")).toEqual([...DOING_OF_THE_TASK].sort());
  expect(blamed("peer")).toEqual([...DOING_OF_A_SUPPLIER].sort());
});

test("what was thrown without a code is ours, what the file system said is the host's, and neither is the app's", () => {
  const system = (code: string) => Object.assign(new Error(`${code}: planted`), { code });
  for (const code of ["ENOSPC", "EIO", "EMFILE", "ENOENT", "EACCES", "EROFS", "ENOMEM", "EDQUOT"])
    expect(faultFrom(system(code)).code).toBe("WRK-1319");
  for (const thrown of [new TypeError("x is undefined"), "text", undefined, system("ERR_INVALID_ARG_TYPE")])
    expect(faultOf(faultFrom(thrown)).blame).toBe("us");
  expect(faultOf(faultFrom(system("EIO"))).blame).toBe("host");
});

/** Where a port is made to throw in each stage. */
const PLANT: Readonly<Record<keyof typeof BEFORE, readonly ((world: StageWorld, error: unknown) => void)[]>> = {
  DOWNLOAD_APP: [(world, error) => world.engine.failNext("pull", error)],
  DOWNLOAD_DATA: [plantDeal],
  COMPUTE: [
    (world, error) => world.engine.failNext("run", error),
    (world, error) => world.engine.failNext("wait", error),
    (world, error) => world.engine.failNext("list", error),
    (world, error) => {
      world.failures.isolation = error;
    },
    plantDeal,
  ],
  SEAL_ERROR: [plantDeal],
};
function plantDeal(world: StageWorld, error: unknown): void {
  world.failures.deal = error;
}
const isStage = (text: string): text is keyof typeof BEFORE => Object.hasOwn(BEFORE, text);
const PLANTED_STAGES = Object.keys(BEFORE).filter(isStage);

/** As the engine does: run the stage, ask whether to give back what it threw. */
async function outcomeOf(world: StageWorld, stage: Stage): Promise<{ readonly end: string; readonly cause: string | undefined }> {
  try {
    await STAGES[stage](world.journal.get(TASK), world.ports, never);
  } catch (thrown) {
    const error = faultFrom(thrown);
    const end = (await giveBack(world.journal.get(TASK), stage, error, world.ports)) ? "given back" : "again";
    return { end, cause: world.journal.history(TASK).at(-1)?.cause };
  }
  const last = world.journal.history(TASK).at(-1);
  return { end: last?.status ?? "", cause: last?.cause };
}

test("every code of the catalogue, in every stage, early and late: the outcome is the table's, and no fault of this host is the task's", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...CODES),
      fc.constantFrom(...PLANTED_STAGES).chain((stage) => fc.tuple(fc.constant(stage), fc.constantFrom(...PLANT[stage]))),
      fc.boolean(),
      async (code, [stage, plant], late) => {
        const world = new StageWorld();
        try {
          await world.reach(BEFORE[stage]);
          // Five of seven periods have passed: another worker could not do it any more.
          if (late) world.age = 301n;
          plant(world, coded(code));
          const { end, cause } = await outcomeOf(world, stage);
          const { follows } = faultOf(coded(code));

          const reported = end === "APP_DOWNLOAD_FAILED" || end === "DATA_DOWNLOAD_FAILED" || end === "COMPUTE_FAILED";
          if (reported) {
            const supplied = stage !== "COMPUTE" && DOING_OF_A_SUPPLIER.has(code);
            expect([code, DOING_OF_THE_TASK.has(code) || supplied]).toEqual([code, true]);
            expect(follows.endsWith("report")).toBe(true);
          } else if (end === "given back") {
            expect(cause).toBe(code);
            expect(follows === "give back" || late).toBe(true);
          } else if (end === "again") expect(follows === "give back" || (late && follows !== "alarm" && plant !== plantDeal)).toBe(false);
          else expect([code, stage, end]).toEqual(["SBX-1204", "COMPUTE", "COMPUTED"]);
        } finally {
          await world.close();
        }
      },
    ),
    { numRuns: 1_500 },
  );
}, 240_000);

test("what is contributed is revealed: no code gives a task back once its contribution is registered", async () => {
  const world = new StageWorld();
  try {
    await world.reach(["RUNNING", "APP_DOWNLOADING", "APP_DOWNLOADED", "DATA_DOWNLOADING", "DATA_DOWNLOADED", "COMPUTING"]);
    const bytes = `0x${"55".repeat(32)}` as const;
    world.journal.registerContribution({
      taskId: TASK,
      worker: world.ports.worker,
      digest: bytes,
      resultHash: bytes,
      resultSeal: bytes,
      callbackData: undefined,
    });
    world.age = 500n;
    for (const code of CODES)
      for (const stage of PLANTED_STAGES) expect(await giveBack(world.journal.get(TASK), stage, coded(code), world.ports)).toBe(false);
    for (const stage of ["CONTRIBUTE", "REVEAL", "UPLOAD", "PURGE"] as const)
      for (const code of CODES) expect(await giveBack(world.journal.get(TASK), stage, coded(code), world.ports)).toBe(false);
  } finally {
    await world.close();
  }
});

test("an upload ends for a result that is gone or refused, and is tried again for everything else", async () => {
  for (const code of CODES) {
    const world = new StageWorld();
    await world.reach(["RUNNING", "APP_DOWNLOADING", "APP_DOWNLOADED", "DATA_DOWNLOADING", "DATA_DOWNLOADED", "COMPUTING", "COMPUTED"]);
    for (const status of ["CAN_CONTRIBUTE", "CONTRIBUTING", "CONTRIBUTED", "REVEALING", "REVEALED"] as const)
      world.journal.record(TASK, status);
    world.journal.record(TASK, "RESULT_UPLOAD_REQUESTED", { mirror: true });
    const bytes = `0x${"55".repeat(32)}` as const;
    world.journal.note(TASK, { sealed: { digest: bytes, callbackData: undefined, zipPath: "/nowhere", zipSha256: bytes } });
    world.failures.upload = coded(code);
    const { end } = await outcomeOf(world, "UPLOAD");
    if (end !== "again") expect([end, faultOf(coded(code)).follows]).toEqual(["RESULT_UPLOAD_FAILED", "report"]);
    if (/^(SBX-1[0-5]|SVC|CHN)/.test(code) && !DOING_OF_THE_TASK.has(code) && !DOING_OF_A_SUPPLIER.has(code))
      expect([code, end]).toEqual([code, "again"]);
    await world.close();
  }
});

test("a registry that does not answer is not blamed while our own line is down", async () => {
  const world = new StageWorld();
  await world.reach(BEFORE.DOWNLOAD_APP);
  world.engine.failNext("pull", coded("SBX-1103"), coded("SBX-1103"));
  world.failures.observe = new CodedError("CHN-1003", { method: "eth_call", reason: "no node answers" });
  expect(await outcomeOf(world, "DOWNLOAD_APP")).toMatchObject({ end: "again" });
  delete world.failures.observe;
  expect(await outcomeOf(world, "DOWNLOAD_APP")).toEqual({ end: "APP_DOWNLOAD_FAILED", cause: "APP_IMAGE_DOWNLOAD_FAILED" });
  expect(await world.ports.sandbox.findImage(IMAGE)).toBe(undefined);
  await world.close();
});
