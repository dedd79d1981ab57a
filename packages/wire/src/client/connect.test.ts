import { CodedError, seededRandom, systemClock } from "@iexec-ts/service";
import { fastify } from "fastify";
import { afterEach, describe, expect, test } from "vitest";
import type { LinkState, SchedulerConnection, TaskNotification } from "../api.ts";
import {
  ACCOUNT,
  ASSIGNMENT,
  FakePort,
  ME,
  movableClock,
  notificationOf,
  OTHER_WALLET,
  type RunningScheduler,
  reportOf,
  type StartOptions,
  startScheduler,
  TASK,
  until,
  WALLET,
} from "../testing/fake-scheduler.ts";
import { type ConnectOptions, connectScheduler } from "./connect.ts";

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(options: StartOptions = {}): Promise<RunningScheduler> {
  const scheduler = await startScheduler(options);
  ends.push(scheduler.stop);
  return scheduler;
}

async function connect(url: string, options: Partial<ConnectOptions> = {}): Promise<SchedulerConnection> {
  // Waits shrink to a tenth, so that back-offs of seconds pass in a test.
  const clock = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 10, signal) };
  const link = await connectScheduler(
    { url, account: ACCOUNT, dialect: "auto", version: "1.0.0", ...options },
    { clock, random: seededRandom(1) },
  );
  ends.push(() => link.close());
  return link;
}

const soon = () => AbortSignal.timeout(30_000);
const isUp = (link: SchedulerConnection) => until(() => link.state === "up");
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
    await until(() => scheduler.push.publish(notificationOf({ action: "PLEASE_WAIT" })) === 1);
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

describe("an unhappy scheduler", () => {
  /** Answers the first calls of a path with these, then lets the fake answer. */
  async function moody(path: string, statuses: number[], options: StartOptions = {}) {
    const scheduler = await start(options);
    const waits: number[] = [];
    const clock = {
      ...systemClock,
      sleep: async (ms: number, signal?: AbortSignal) => {
        if (ms < 9_000) waits.push(ms);
        await systemClock.sleep(ms < 9_000 ? 1 : ms, signal);
      },
    };
    const fetch: typeof globalThis.fetch = async (input, init) => {
      const status = new URL(String(input)).pathname === path ? statuses.shift() : undefined;
      return status === undefined ? globalThis.fetch(input, init) : new Response(status === 204 ? null : "", { status });
    };
    const link = await connectScheduler(
      { url: scheduler.url, account: ACCOUNT, dialect: "auto", version: "1" },
      { clock, random: seededRandom(3), fetch },
    );
    ends.push(() => link.close());
    await isUp(link);
    waits.length = 0;
    return { scheduler, link, waits };
  }
  const rising = (waits: number[]) =>
    waits.every((wait, index) => index === 0 || wait >= (waits[index - 1] ?? 0) / 2) && waits.every((wait) => wait >= 250);

  test("a report is brought in the end, with a growing wait before each try, once", async () => {
    const { scheduler, link, waits } = await moody(`/v1/replicates/${TASK}/statuses`, [503, 500, 429, 502]);
    const [one, two] = await Promise.all([link.report(reportOf()), link.report(reportOf({ seq: 2, status: "APP_DOWNLOADING" }))]);
    expect([one.kind, two.kind]).toEqual(["stored", "stored"]);
    expect(waits).toHaveLength(4);
    expect(rising(waits)).toBe(true);
    expect(scheduler.port.reports.map(({ seq }) => seq)).toEqual([1, 2]);
  });

  test("a report that is not understood is not repeated", async () => {
    const { link, waits } = await moody(`/v1/replicates/${TASK}/statuses`, [400]);
    await expect(link.report(reportOf())).rejects.toMatchObject({ code: "WIR-1005", retry: "protocol" });
    expect(waits).toEqual([]);
  });

  test("v9: a lost half is repeated alone; an empty 200 says nothing", async () => {
    const path = `/replicates/${TASK}/updateStatus`;
    const { scheduler, link } = await moody(path, [200, 503, 200], { native: false });
    expect(await link.report(reportOf())).toEqual({ kind: "stored", action: undefined });
    expect(scheduler.port.reports).toEqual([]);
  });

  test("a failing demand is thrown at once and the next one waits", async () => {
    const { link, waits } = await moody("/v1/replicates/demand", [503, 503, 204, 204]);
    await expect(link.demand({ blockNumber: 1n }, soon())).rejects.toMatchObject({ code: "WIR-1002" });
    expect(waits).toEqual([]);
    await expect(link.demand({ blockNumber: 1n }, soon())).rejects.toMatchObject({ code: "WIR-1002" });
    expect(waits).toHaveLength(1);
    expect(await link.demand({ blockNumber: 1n }, soon())).toBeUndefined();
    expect(await link.demand({ blockNumber: 1n }, soon())).toBeUndefined();
    expect(waits).toHaveLength(3);
  });

  test("a token refused again right after a login is no endless loop", async () => {
    const { link } = await moody("/workers/register", [401, 401, 401, 401, 401, 401]);
    await expect(link.register(ME)).rejects.toMatchObject({ code: "WIR-1102" });
  });

  test("a wallet that is no longer allowed brings the link down to listening", async () => {
    const clock = movableClock();
    const scheduler = await start({ clock });
    const link = await connect(scheduler.url);
    await isUp(link);
    scheduler.port.allowed = false;
    clock.advance(3_600_000);
    await until(() => link.state === "degraded");
    await expect(link.register(ME)).rejects.toMatchObject({ code: "WIR-1101" });
  });
});

describe("push over HTTP streaming", () => {
  test("goes on past 128 KiB, in order, nothing lost", async () => {
    const scheduler = await start({ native: false, websocket: false });
    const link = await connect(scheduler.url);
    const blocks: bigint[] = [];
    link.onNotification(({ blockNumber }) => blocks.push(blockNumber ?? 0n));
    link.subscribe(TASK);
    await isUp(link);
    await until(() => scheduler.push.publish(notificationOf({ workers: [OTHER_WALLET] })) === 1);
    const smsUrl = "s".repeat(2_000);
    for (let block = 1n; block <= 200n; block += 1n) {
      scheduler.push.publish(notificationOf({ blockNumber: block, smsUrl }));
      if (block % 20n === 0n) await until(() => BigInt(blocks.length) === block);
    }
    expect(blocks).toEqual(Array.from({ length: 200 }, (_, index) => BigInt(index + 1)));
    expect(scheduler.requests.filter((line) => line.endsWith("/xhr_streaming")).length).toBeGreaterThan(2);
    expect(new Set(scheduler.requests.filter((line) => line.endsWith("/xhr_streaming"))).size).toBe(1);
  });

  test("a proxy that blocks websockets is gone around", async () => {
    const scheduler = await start();
    scheduler.app.server.prependListener("upgrade", (_request, socket) => socket.destroy());
    const link = await connect(scheduler.url);
    await isUp(link);
    expect(scheduler.requests.some((line) => line.endsWith("/xhr_streaming"))).toBe(true);
  });

  test("responses that carry nothing are given up, with a wait before the next session", async () => {
    const app = fastify();
    const fake = new FakePort();
    let streams = 0;
    app.get("/version", async () => "9.3.0");
    app.get("/workers/config", async () => fake.settings);
    app.get("/workers/challenge", async () => "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789+/abcdE=");
    app.post("/workers/login", async () => "token");
    app.post("/workers/ping", async () => "hash");
    app.get("/connect/info", async () => ({ websocket: false }));
    app.post("/connect/:server/:session/xhr_streaming", async () => {
      streams += 1;
      return `${"h".repeat(2048)}\n`;
    });
    await app.listen({ host: "127.0.0.1", port: 0 });
    ends.push(() => app.close());
    const waits: number[] = [];
    const clock = {
      ...systemClock,
      sleep: async (ms: number, signal?: AbortSignal) => {
        if (ms < 9_000) waits.push(ms);
        await systemClock.sleep(ms < 9_000 ? 1 : ms, signal);
      },
    };
    const link = await connectScheduler(
      { url: app.listeningOrigin, account: ACCOUNT, dialect: "auto", version: "1" },
      { clock, random: seededRandom(1) },
    );
    ends.push(() => link.close());
    await until(() => waits.length >= 3);
    expect(streams).toBeLessThanOrEqual(3 * (waits.length + 1));
    expect(link.state).toBe("degraded");
  });
});
