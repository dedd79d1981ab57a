import { REPLICATE_STATUSES } from "@iexec-ts/poco";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type StatusReport, TASK_ACTIONS, type TaskNotification } from "../api.ts";
import { V9_CAUSES, V9_STATUSES } from "../dialects/v9-names.ts";
import { ASSIGNMENT, FakePort, notificationOf, reportOf, TASK, WALLET } from "../testing/fake-scheduler.ts";
import { configurationHash, publicConfigurationSchema, writePublicConfiguration } from "./configuration.ts";
import { nativeReportSchema, v9UpdateSchema, writeNativeReport, writeV9Update } from "./status.ts";
import { assignmentSchema, readNotification, writeAssignment, writeNotification } from "./tasks.ts";

const hex = (bytes: number) =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((data): `0x${string}` => `0x${Buffer.from(data).toString("hex")}`);
const throughJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const authorization = fc.record({
  chainTaskId: hex(32),
  dealId: hex(32),
  taskIndex: fc.nat(),
  workerWallet: hex(20),
  enclaveChallenge: hex(20),
  signature: fc.record({ value: hex(65) }),
});
const notification: fc.Arbitrary<TaskNotification> = fc.record({
  taskId: hex(32),
  action: fc.constantFrom(...TASK_ACTIONS),
  workers: fc.array(hex(20), { maxLength: 5 }),
  blockNumber: fc.option(
    fc.nat().map((n) => BigInt(n) + 1n),
    { nil: undefined },
  ),
  abortCause: fc.option(fc.constantFrom("CONTRIBUTION_TIMEOUT" as const, "CONSENSUS_REACHED" as const, "UNKNOWN" as const), {
    nil: undefined,
  }),
  smsUrl: fc.option(fc.webUrl(), { nil: undefined }),
  authorization: fc.option(authorization, { nil: undefined }),
});
const details = fc.record(
  {
    chainReceipt: fc.record({ blockNumber: fc.nat().map(BigInt), txHash: hex(32) }),
    resultLink: fc.string(),
    chainCallbackData: hex(12),
    exitCode: fc.integer({ min: -255, max: 255 }),
    computeLogs: fc.record({ stdout: fc.string(), stderr: fc.string() }),
    errorMessage: fc.string(),
  },
  { requiredKeys: [] },
);

describe("notifications (wire.md 2.2)", () => {
  test("come back as they were", () => {
    fc.assert(
      fc.property(notification, (sent) => {
        expect(readNotification(throughJson(writeNotification(sent)))).toEqual(sent);
      }),
    );
  });

  test("are written with the keys a strict Java mapper knows, and no other", () => {
    const body = writeNotification(notificationOf());
    expect(Object.keys(body)).toEqual(["chainTaskId", "workersAddress", "taskNotificationType", "taskNotificationExtra"]);
    expect(Object.keys(body.taskNotificationExtra)).toEqual(["workerpoolAuthorization", "smsUrl", "blockNumber", "taskAbortCause"]);
  });

  test("the form of a Java core is read, its extra top-level key ignored", () => {
    const java = `{"chainTaskId":"${TASK}","workersAddress":["${WALLET.toUpperCase().replace("X", "x")}"],"taskNotificationType":"PLEASE_REVEAL",
      "taskNotificationExtra":{"workerpoolAuthorization":null,"smsUrl":null,"blockNumber":5,"taskAbortCause":null},"taskAbortCause":"UNKNOWN"}`;
    expect(readNotification(JSON.parse(java))).toEqual(notificationOf());
  });

  test.each([
    ["null means nobody", { workersAddress: null }],
    ["nor do unreadable names mean everybody", { workersAddress: ["0xnobody"] }],
    ["an unknown action is no order", { taskNotificationType: "PLEASE_PANIC" }],
  ])("%s", (_name, change) => {
    expect(readNotification({ ...writeNotification(notificationOf()), ...change })).toBeUndefined();
  });

  test("no extra is nothing extra; an unknown abort cause is UNKNOWN", () => {
    const body = writeNotification(notificationOf());
    expect(readNotification({ ...body, taskNotificationExtra: null })?.blockNumber).toBeUndefined();
    expect(readNotification({ ...body, taskNotificationExtra: { taskAbortCause: "NEW_REASON" } })?.abortCause).toBe("UNKNOWN");
  });

  test("anything else is only not a notification", () => {
    fc.assert(fc.property(fc.jsonValue(), (json) => readNotification(json) === undefined));
  });
});

describe("assignments and configuration (wire.md 1.2)", () => {
  test("an assignment comes back as it was", () => {
    expect(assignmentSchema.parse(throughJson(writeAssignment(ASSIGNMENT)))).toEqual(ASSIGNMENT);
    expect(Object.keys(writeAssignment(ASSIGNMENT))).toEqual(["workerpoolAuthorization", "smsUrl"]);
  });

  test("only the known keys are written, whatever the object carries", () => {
    const extra = { ...new FakePort().settings, secret: "no" };
    expect(Object.keys(writePublicConfiguration(extra))).toEqual([
      "workerPoolAddress",
      "schedulerPublicAddress",
      "configServerUrl",
      "resultRepositoryURL",
      "askForReplicatePeriod",
      "requiredWorkerVersion",
    ]);
  });

  test("unknown keys are ignored and a null version means any", () => {
    const { settings } = new FakePort();
    expect(publicConfigurationSchema.parse({ ...settings, requiredWorkerVersion: null, more: 1 })).toEqual(settings);
  });

  test("the hash follows the content, not the order", () => {
    const { settings } = new FakePort();
    const turned = Object.fromEntries(Object.entries(settings).reverse());
    expect(configurationHash({ ...settings, ...turned })).toBe(configurationHash(settings));
    expect(configurationHash({ ...settings, askForReplicatePeriod: 1 })).not.toBe(configurationHash(settings));
    expect(configurationHash(settings)).toMatch(/^0x[0-9a-f]{64}$/);
  });
});

describe("status updates", () => {
  test("the body of a Java worker is read", () => {
    const java = `{"status":"CONTRIBUTED","modifier":null,"date":null,"details":{"chainReceipt":{"blockNumber":7,"txHash":"0xab"},"resultLink":null,"chainCallbackData":null,
      "errorMessage":null,"cause":null,"computeLogs":{"stdout":"..","stderr":".."},"exitCode":0,"teeSessionGenerationError":null},"success":true}`;
    expect(v9UpdateSchema.parse(JSON.parse(java))).toEqual({
      status: "CONTRIBUTED",
      cause: undefined,
      details: { chainReceipt: { blockNumber: 7n, txHash: "0xab" }, computeLogs: { stdout: "..", stderr: ".." }, exitCode: 0 },
    });
  });

  test("the shortest legal body is read and written", () => {
    expect(v9UpdateSchema.parse({ status: "STARTING" })).toEqual({ status: "STARTING", cause: undefined, details: {} });
    expect(writeV9Update("STARTING", undefined, {})).toEqual({ status: "STARTING" });
  });

  test("empty streams that Java leaves out are empty", () => {
    const parsed = v9UpdateSchema.parse({ status: "COMPUTED", details: { computeLogs: { stdout: "x" } } });
    expect(parsed.details.computeLogs).toEqual({ stdout: "x", stderr: "" });
  });

  test("an unknown status is an error, an unknown cause is UNKNOWN", () => {
    expect(v9UpdateSchema.safeParse({ status: "RUNNING" }).success).toBe(false);
    expect(v9UpdateSchema.parse({ status: "ABORTED", details: { cause: "BAD_HAIR" } }).cause).toBe("UNKNOWN");
  });

  test("logs keep their last 100 000 units, when read and when written", () => {
    const stdout = `${"a".repeat(50)}${"b".repeat(100_000)}`;
    const wanted = { stdout: "b".repeat(100_000), stderr: "" };
    expect(v9UpdateSchema.parse({ status: "COMPUTED", details: { computeLogs: { stdout } } }).details.computeLogs).toEqual(wanted);
    expect(writeV9Update("COMPUTED", undefined, { computeLogs: { stdout, stderr: "" } })).toMatchObject({
      details: { computeLogs: wanted },
    });
  });

  test("v9 updates come back as they were", () => {
    const cause = fc.option(fc.constantFrom(...V9_CAUSES), { nil: undefined });
    fc.assert(
      fc.property(fc.constantFrom(...V9_STATUSES), cause, details, (status, why, what) => {
        expect(v9UpdateSchema.parse(throughJson(writeV9Update(status, why, what)))).toEqual({ status, cause: why, details: what });
      }),
    );
  });

  test("native reports come back as they were, block numbers beyond 2^53 too", () => {
    const report = fc.record({ seq: fc.integer({ min: 1 }), status: fc.constantFrom(...REPLICATE_STATUSES), cause: fc.string(), details });
    fc.assert(
      fc.property(report, (part) => {
        const sent: StatusReport = reportOf(part);
        const { taskId, ...expected } = sent;
        expect(taskId).toBe(TASK);
        expect(nativeReportSchema.parse(throughJson(writeNativeReport(sent)))).toEqual(expected);
      }),
    );
    const receipt = { blockNumber: 2n ** 53n + 1n, txHash: "0xab" as const };
    const { details: read } = nativeReportSchema.parse(throughJson(writeNativeReport(reportOf({ details: { chainReceipt: receipt } }))));
    expect(read?.chainReceipt).toEqual(receipt);
  });
});
