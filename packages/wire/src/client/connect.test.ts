import { CodedError } from "@iexec-ts/service";
import { fastify } from "fastify";
import { describe, expect, test } from "vitest";
import type { LinkState, TaskNotification } from "../api.ts";
import {
  ASSIGNMENT,
  FakePort,
  ME,
  movableClock,
  notificationOf,
  OTHER_WALLET,
  type RunningScheduler,
  reportOf,
  TASK,
  until,
  WALLET,
} from "../testing/fake-scheduler.ts";
import { connect, ends, isUp, soon, start } from "../testing/links.ts";

const count = ({ requests }: RunningScheduler, line: string) => requests.filter((request) => request === line).length;

describe.each([
  ["native", { native: true }],
  ["v9", { native: false }],
  ["v9", { native: false, websocket: false }],
] as const)("a %s scheduler (%o)", (dialect, options) => {
  test("logs in, registers, pings, listens", async () => {
    const scheduler = await start(options);
    const link = await connect(scheduler.url);
    const states: LinkState[] = [];
    link.onState((state) => states.push(state));
    expect([link.dialect, link.version, link.configuration]).toEqual([dialect, "9.3.0", scheduler.port.settings]);
    await link.register(ME);
    expect(scheduler.port.registered).toEqual([ME]);
    await isUp(link);
    expect(scheduler.port.pings).toContain(WALLET);
    await link.close();
    expect(link.state).toBe("down");
    expect(states.at(0)).not.toBe("down");
    expect(states.at(-1)).toBe("down");
    expect(scheduler.headers.some((headers) => headers.origin !== undefined)).toBe(false);
  });

  test("gets a task as soon as there is one", async () => {
    const scheduler = await start(options);
    const link = await connect(scheduler.url);
    const asked = dialect === "native" ? link.demand({ blockNumber: 5n }, soon()) : undefined;
    if (asked !== undefined) await until(() => scheduler.port.waits.length > 0);
    else expect(await link.demand({ blockNumber: 5n }, soon())).toBeUndefined();
    scheduler.port.offer(ASSIGNMENT);
    expect(await (asked ?? link.demand({ blockNumber: 5n }, soon()))).toEqual(ASSIGNMENT);
  });

  test("hears what is meant for it, and nothing else", async () => {
    const scheduler = await start(options);
    const link = await connect(scheduler.url);
    const heard: TaskNotification[] = [];
    link.onNotification((notification) => {
      heard.push(notification);
      throw new Error("a listener's fault is its own");
    });
    await isUp(link);
    link.subscribe(TASK);
    await until(() => scheduler.push.publish(notificationOf({ workers: [OTHER_WALLET] })) === 1);
    scheduler.push.publish(notificationOf({ action: "PLEASE_UPLOAD" }));
    scheduler.push.publish(notificationOf({ action: "PLEASE_COMPLETE", workers: [] }));
    await until(() => heard.length === 2);
    expect(heard.map(({ action }) => action)).toEqual(["PLEASE_UPLOAD", "PLEASE_COMPLETE"]);
    link.unsubscribe(TASK);
    await until(() => scheduler.push.publish(notificationOf()) === 0);
  });

  test("what was published while the line was cut is caught up", async () => {
    const scheduler = await start(options);
    const link = await connect(scheduler.url);
    let caughtUp: readonly TaskNotification[] = [];
    await isUp(link);
    link.subscribe(TASK);
    await until(() => scheduler.push.publish(notificationOf({ workers: [OTHER_WALLET] })) === 1);
    link.onCatchUp(() => {
      link.interrupted({ blockNumber: 9n }).then(
        (missed) => {
          caughtUp = missed;
        },
        () => undefined,
      );
    });
    const heard: TaskNotification[] = [];
    link.onNotification((notification) => heard.push(notification));
    scheduler.port.missed = [notificationOf({ authorization: ASSIGNMENT.authorization })];
    scheduler.cut();
    scheduler.push.publish(notificationOf());
    await until(() => caughtUp.length > 0);
    expect(heard).toEqual([]);
    expect(caughtUp).toEqual(scheduler.port.missed);
    // The topic is in effect again without anybody asking.
    scheduler.push.publish(notificationOf({ action: "PLEASE_UPLOAD" }));
    await until(() => heard.length > 0);
    expect(heard.map(({ action }) => action)).toEqual(["PLEASE_UPLOAD"]);
  });

  test("reports in the scheduler's own words", async () => {
    const scheduler = await start(options);
    const link = await connect(scheduler.url);
    expect(await link.report(reportOf({ status: "COMPUTED", seq: 7, details: { exitCode: 0 } }))).toEqual({
      kind: "stored",
      action: dialect === "native" ? undefined : "PLEASE_CONTRIBUTE",
    });
    expect(scheduler.port.reports).toMatchObject([{ status: "COMPUTED", seq: dialect === "native" ? 7 : 0, details: { exitCode: 0 } }]);
    for (const kind of ["refused", "duplicate"] as const) {
      scheduler.port.answer = () => ({ kind, action: "PLEASE_ABORT" });
      expect(await link.report(reportOf({ status: "CONTRIBUTING" }))).toEqual({ kind, action: "PLEASE_ABORT" });
    }
  });

  test("a refused token is replaced silently, by one login for all callers", async () => {
    const clock = movableClock();
    const scheduler = await start({ ...options, clock });
    const link = await connect(scheduler.url);
    await until(() => scheduler.port.pings.length > 0);
    expect(count(scheduler, "POST /workers/login")).toBe(1);
    clock.advance(3_600_000);
    await Promise.all(Array.from({ length: 10 }, () => link.interrupted({ blockNumber: 1n })));
    expect(count(scheduler, "POST /workers/login")).toBe(2);
  });

  test("survives a restart of the scheduler without a new login", async () => {
    const first = await start(options);
    const link = await connect(first.url);
    await isUp(link);
    await first.stop();
    await until(() => link.state === "down");
    const second = await start({ ...options, tcpPort: first.tcpPort });
    await isUp(link);
    expect(count(second, "POST /workers/login")).toBe(0);
  });

  test("tells of a changed configuration", async () => {
    const scheduler = await start(options);
    const link = await connect(scheduler.url);
    await until(() => scheduler.port.pings.length > 0);
    const changes: number[] = [];
    link.onConfiguration(({ askForReplicatePeriod }) => changes.push(askForReplicatePeriod));
    scheduler.port.settings = { ...scheduler.port.settings, askForReplicatePeriod: 77 };
    await until(() => changes.length > 0);
    expect([changes, link.configuration.askForReplicatePeriod]).toEqual([[77], 77]);
  });

  test("close ends whatever is under way", async () => {
    const scheduler = await start(options);
    const link = await connect(scheduler.url);
    scheduler.port.answer = () => {
      throw new CodedError("WIR-1002", { status: 500, url: "x" });
    };
    const report = link.report(reportOf({ status: "COMPUTING" }));
    await until(() => scheduler.port.reports.length > 0);
    await link.close();
    await expect(report).rejects.toMatchObject({ code: "WIR-1006" });
    await expect(link.demand({ blockNumber: 1n }, soon())).rejects.toMatchObject({ code: "WIR-1006" });
  });
});

describe("connecting", () => {
  test("an exact version is required when one is named", async () => {
    const port = new FakePort();
    port.settings = { ...port.settings, requiredWorkerVersion: "9.2.0" };
    const { url } = await start({ port });
    await expect(connect(url)).rejects.toMatchObject({
      code: "WIR-1201",
      retry: "operator",
      args: { required: "9.2.0", version: "1.0.0" },
    });
    expect((await connect(url, { version: "9.2.0" })).configuration.requiredWorkerVersion).toBe("9.2.0");
  });

  test("a wallet that is not allowed is the operator's to mend", async () => {
    const port = new FakePort();
    port.allowed = false;
    const { url } = await start({ port });
    await expect(connect(url)).rejects.toMatchObject({ code: "WIR-1101", retry: "operator" });
  });

  test("native wanted and not offered", async () => {
    const { url } = await start({ native: false });
    await expect(connect(url, { dialect: "native" })).rejects.toMatchObject({ code: "WIR-1202" });
  });

  test("v9 may be spoken to a native scheduler", async () => {
    const scheduler = await start();
    const link = await connect(scheduler.url, { dialect: "v9" });
    await link.report(reportOf());
    expect(scheduler.port.reports.map(({ status }) => status)).toEqual(["RUNNING", "RUNNING"]);
    expect(count(scheduler, "GET /v1/info")).toBe(0);
  });

  test("the chain is read from the configuration server, if there is one", async () => {
    const scheduler = await start();
    expect((await connect(scheduler.url)).chain).toBeUndefined();
    scheduler.port.settings = { ...scheduler.port.settings, configServerUrl: scheduler.url };
    expect((await connect(`${scheduler.url}/`)).chain).toEqual(scheduler.port.chainConfiguration());
  });

  test("nobody there is worth another try; the caller's abort is the caller's", async () => {
    const scheduler = await start();
    await scheduler.stop();
    ends.pop();
    await expect(connect(scheduler.url)).rejects.toMatchObject({ code: "WIR-1001", retry: "retry" });
    const reason = new Error("mine");
    await expect(connect(scheduler.url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test.each([
    ["a web page", () => "<html>", "WIR-1003"],
    ["an endless answer", () => "x".repeat(100_000), "WIR-1004"],
  ])("%s is not a scheduler", async (_name, body, code) => {
    const app = fastify();
    app.get("/version", async () => "1");
    app.get("/workers/config", async () => body());
    await app.listen({ host: "127.0.0.1", port: 0 });
    ends.push(() => app.close());
    await expect(connect(app.listeningOrigin)).rejects.toMatchObject({ code });
  });

  test("a failing scheduler is not taken for a v9 one", async () => {
    const app = fastify();
    app.get("/v1/info", async (_request, reply) => reply.code(503).send());
    await app.listen({ host: "127.0.0.1", port: 0 });
    ends.push(() => app.close());
    await expect(connect(app.listeningOrigin)).rejects.toMatchObject({ code: "WIR-1002", retry: "retry" });
  });
});

describe("v9 deliveries", () => {
  test("an aborted contribution: the refusal is expected, the abort follows with its cause", async () => {
    const scheduler = await start({ native: false });
    const link = await connect(scheduler.url);
    scheduler.port.answer = ({ status }) =>
      status === "CONTRIBUTE_FAILED" ? { kind: "refused", action: "PLEASE_ABORT" } : { kind: "stored", action: undefined };
    expect(await link.report(reportOf({ status: "CONTRIBUTE_FAILED", cause: "CHN-1202" }))).toEqual({
      kind: "stored",
      action: "PLEASE_WAIT",
    });
    expect(scheduler.port.reports.map(({ status, cause, details }) => [status, cause, details?.errorMessage])).toEqual([
      ["CONTRIBUTE_FAILED", "CHAIN_RECEIPT_NOT_VALID", undefined],
      ["FAILED", "CHAIN_RECEIPT_NOT_VALID", "CHN-1202"],
    ]);
  });

  test("a refused first half ends the report; words that v9 lacks are not sent", async () => {
    const scheduler = await start({ native: false });
    const link = await connect(scheduler.url);
    expect(await link.report(reportOf({ status: "CAN_CONTRIBUTE" }))).toEqual({ kind: "stored", action: undefined });
    expect(scheduler.port.reports).toEqual([]);
    scheduler.port.answer = () => ({ kind: "refused", action: undefined });
    expect(await link.report(reportOf())).toEqual({ kind: "refused", action: "PLEASE_ABORT" });
    expect(scheduler.port.reports).toHaveLength(1);
  });

  test("the previous status decides what an empty wallet says", async () => {
    const scheduler = await start({ native: false });
    const link = await connect(scheduler.url);
    await link.report(reportOf({ status: "CONTRIBUTED" }));
    await link.report(reportOf({ status: "OUT_OF_GAS" }));
    expect(scheduler.port.reports.map(({ status }) => status)).toEqual(["CONTRIBUTED"]);
    await link.report(reportOf({ status: "COMPUTED" }));
    await link.report(reportOf({ status: "OUT_OF_GAS" }));
    expect(scheduler.port.reports.map(({ status }) => status)).toEqual(["CONTRIBUTED", "COMPUTED", "OUT_OF_GAS"]);
  });
});
