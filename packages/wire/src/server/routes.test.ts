import { loginChallengeDigest } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { fastify } from "fastify";
import { afterEach, describe, expect, test } from "vitest";
import { LoginTokens } from "../login/tokens.ts";
import {
  ACCOUNT,
  ASSIGNMENT,
  FakePort,
  movableClock,
  notificationOf,
  type RunningScheduler,
  rawRequest,
  startScheduler,
  TASK,
  until,
  WALLET,
} from "../testing/fake-scheduler.ts";
import { registerSchedulerRoutes } from "./routes.ts";

const running: RunningScheduler[] = [];
const start = async (...options: Parameters<typeof startScheduler>): Promise<RunningScheduler> => {
  const scheduler = await startScheduler(...options);
  running.push(scheduler);
  return scheduler;
};
afterEach(async () => {
  for (const scheduler of running.splice(0)) await scheduler.stop();
});

async function login(url: string): Promise<string> {
  const { text: challenge } = await rawRequest("GET", `${url}/workers/challenge?walletAddress=${WALLET}`);
  const value = await ACCOUNT.sign({ hash: loginChallengeDigest(challenge) });
  const answer = await rawRequest("POST", `${url}/workers/login?walletAddress=${WALLET}`, { body: JSON.stringify({ value }) });
  return answer.text;
}

describe("login, as a Java worker does it", () => {
  test("challenge and token are raw text", async () => {
    const { url } = await start();
    const challenge = await rawRequest("GET", `${url}/workers/challenge?walletAddress=${WALLET}`);
    expect(challenge).toMatchObject({ status: 200, type: "text/plain; charset=utf-8" });
    expect(challenge.text).toMatch(/^0x[0-9a-f]{64}$/);
    const token = await login(url);
    expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
    expect(await rawRequest("POST", `${url}/workers/ping`, { token })).toMatchObject({ status: 200 });
  });

  test("a mixed-case wallet is the same wallet", async () => {
    const { url, port } = await start();
    const wallet = ACCOUNT.address;
    const { text } = await rawRequest("GET", `${url}/workers/challenge?walletAddress=${wallet}`);
    const value = (await ACCOUNT.sign({ hash: loginChallengeDigest(text) })).replace(/1[bc]$/, "00");
    const { text: token } = await rawRequest("POST", `${url}/workers/login?walletAddress=${wallet}`, { body: JSON.stringify({ value }) });
    await rawRequest("POST", `${url}/workers/ping`, { token });
    expect(port.pings).toEqual([WALLET]);
  });

  test("a wallet that is not allowed, or another's signature, is 401 with an empty body", async () => {
    const { url, port } = await start();
    const value = await ACCOUNT.sign({ hash: loginChallengeDigest("another text") });
    const wrong = await rawRequest("POST", `${url}/workers/login?walletAddress=${WALLET}`, { body: JSON.stringify({ value }) });
    port.allowed = false;
    const challenge = await rawRequest("GET", `${url}/workers/challenge?walletAddress=${WALLET}`);
    expect([wrong.status, wrong.text, challenge.status, challenge.text]).toEqual([401, "", 401, ""]);
  });

  test.each([
    ["GET", "/workers/challenge"],
    ["GET", "/workers/challenge?walletAddress=0x12"],
    ["POST", `/workers/login?walletAddress=${WALLET}`],
  ])("%s %s is malformed", async (method, path) => {
    const { url } = await start();
    expect((await rawRequest(method, url + path)).status).toBe(400);
  });
});

describe("tokens (wire.md 9.1.5, 9.1.7)", () => {
  const protectedCalls = [
    ["POST", "/workers/ping"],
    ["POST", "/workers/register"],
    ["GET", "/workers/computing"],
    ["GET", "/replicates/available?blockNumber=1"],
    ["GET", "/replicates/interrupted?blockNumber=1"],
    ["POST", `/replicates/${TASK}/updateStatus`],
    ["GET", "/v1/replicates/demand?blockNumber=1"],
    ["POST", `/v1/replicates/${TASK}/statuses`],
  ] as const;

  test.each(protectedCalls)("%s %s: no header is 400, a bad token is 401 and empty", async (method, path) => {
    const { url } = await start();
    expect((await rawRequest(method, url + path)).status).toBe(400);
    expect(await rawRequest(method, url + path, { token: "nonsense" })).toMatchObject({ status: 401, text: "" });
    const token = await login(url);
    const lowerPrefix = await rawRequest(method, url + path, { headers: { authorization: `bearer ${token}` } });
    expect(lowerPrefix.status).toBe(401);
  });

  test("expire after an hour and outlive a restart", async () => {
    const clock = movableClock();
    const first = await start({ clock });
    const token = await login(first.url);
    await first.stop();
    running.pop();
    const { url } = await start({ clock });
    expect((await rawRequest("POST", `${url}/workers/ping`, { token })).status).toBe(200);
    clock.advance(3_600_000);
    expect((await rawRequest("POST", `${url}/workers/ping`, { token })).status).toBe(401);
  });
});

describe("configuration and registration", () => {
  test("bodies have exactly the keys of wire.md 1.2", async () => {
    const { url, port } = await start();
    const configuration = await rawRequest("GET", `${url}/workers/config`);
    expect(JSON.parse(configuration.text)).toEqual(port.settings);
    const chain = await rawRequest("GET", `${url}/config/chain`);
    expect(Object.keys(JSON.parse(chain.text))).toEqual(["chainId", "sidechain", "chainNodeUrl", "iexecHubContractAddress", "blockTime"]);
    expect(await rawRequest("GET", `${url}/version`)).toMatchObject({ status: 200, text: "9.3.0", type: "text/plain; charset=utf-8" });
  });

  test("a v9.2.0 worker registers without tdxEnabled; its overflowed memory is 0", async () => {
    const { url, port } = await start();
    const token = await login(url);
    const body = `{"name":"worker","walletAddress":"0xignored","os":"Linux","cpu":"amd64","cpuNb":3,"memorySize":-2,"gpuEnabled":false,"teeEnabled":false,"more":null}`;
    expect((await rawRequest("POST", `${url}/workers/register`, { token, body })).status).toBe(200);
    expect(port.registered).toEqual([
      {
        name: "worker",
        walletAddress: WALLET,
        os: "Linux",
        cpu: "amd64",
        cpuNb: 3,
        memorySize: 0,
        gpuEnabled: false,
        teeEnabled: false,
        tdxEnabled: false,
      },
    ]);
  });

  test("ping answers a raw hash that a restart does not change", async () => {
    const first = await start();
    const answer = await rawRequest("POST", `${first.url}/workers/ping`, { token: await login(first.url) });
    expect(answer.text).toMatch(/^0x[0-9a-f]{64}$/);
    const second = await start();
    const again = await rawRequest("POST", `${second.url}/workers/ping`, { token: await login(second.url) });
    expect(again.text).toBe(answer.text);
  });

  test("computing is a list of task ids", async () => {
    const { url } = await start();
    const answer = await rawRequest("GET", `${url}/workers/computing`, { token: await login(url) });
    expect(JSON.parse(answer.text)).toEqual([TASK]);
  });
});

describe("tasks", () => {
  test("available is a task or an empty 204", async () => {
    const { url, port } = await start();
    const token = await login(url);
    const path = `${url}/replicates/available?blockNumber=12`;
    expect(await rawRequest("GET", path, { token })).toMatchObject({ status: 204, text: "" });
    port.offers.push(ASSIGNMENT);
    const answer = await rawRequest("GET", path, { token });
    expect(JSON.parse(answer.text)).toEqual({ workerpoolAuthorization: ASSIGNMENT.authorization, smsUrl: null });
    expect((await rawRequest("GET", `${url}/replicates/available`, { token })).status).toBe(400);
    expect(port.waits).toEqual([0, 0]);
  });

  test("interrupted replicates carry no top-level taskAbortCause", async () => {
    const { url, port } = await start();
    port.missed = [notificationOf({ action: "PLEASE_ABORT", abortCause: "CONSENSUS_REACHED", authorization: ASSIGNMENT.authorization })];
    const answer = await rawRequest("GET", `${url}/replicates/interrupted?blockNumber=1`, { token: await login(url) });
    const [body] = JSON.parse(answer.text);
    expect(Object.keys(body)).toEqual(["chainTaskId", "workersAddress", "taskNotificationType", "taskNotificationExtra"]);
    expect(body.taskNotificationExtra.taskAbortCause).toBe("CONSENSUS_REACHED");
  });

  test("a demand ends when its worker hangs up, and when the server stops", async () => {
    const scheduler = await start();
    const { url, port } = scheduler;
    const token = await login(url);
    const hungUp = new AbortController();
    const lost = fetch(`${url}/v1/replicates/demand?blockNumber=1&wait=25`, {
      headers: { authorization: `Bearer ${token}` },
      signal: hungUp.signal,
    });
    await until(() => port.waits.length === 1);
    hungUp.abort();
    await expect(lost).rejects.toThrow();
    await until(() => port.aborted.length === 1);

    const held = rawRequest("GET", `${url}/v1/replicates/demand?blockNumber=1&wait=9999`, { token }).catch(() => undefined);
    await until(() => port.waits.length === 2);
    await scheduler.stop();
    await held;
    expect(port.aborted).toHaveLength(2);
    expect(port.waits).toEqual([25_000, 25_000]);
  });
});

describe("updateStatus", () => {
  const post = async (scheduler: RunningScheduler, body: unknown, task: string = TASK) => {
    const token = await login(scheduler.url);
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return rawRequest("POST", `${scheduler.url}/replicates/${task}/updateStatus`, { token, body: text });
  };

  test("the answer is a JSON string", async () => {
    const scheduler = await start();
    expect(await post(scheduler, { status: "APP_DOWNLOADED" })).toMatchObject({
      status: 200,
      text: `"PLEASE_DOWNLOAD_DATA"`,
      type: "application/json; charset=utf-8",
    });
  });

  test.each([
    ["refused", 202, `"PLEASE_ABORT"`],
    ["duplicate", 208, `"PLEASE_WAIT"`],
    ["stored", 200, `"PLEASE_CONTINUE"`],
  ] as const)("%s is %i %s", async (kind, status, text) => {
    const scheduler = await start();
    scheduler.port.answer = () => ({ kind, action: undefined });
    expect(await post(scheduler, { status: "COMPUTING" })).toMatchObject({ status, text });
  });

  test("STARTING and STARTED are one guide status, with an answer each", async () => {
    const scheduler = await start();
    expect((await post(scheduler, { status: "STARTING" })).text).toBe(`"PLEASE_CONTINUE"`);
    scheduler.port.answer = () => ({ kind: "duplicate", action: undefined });
    expect(await post(scheduler, { status: "STARTED" })).toMatchObject({ status: 200, text: `"PLEASE_DOWNLOAD_APP"` });
    expect(scheduler.port.reports.map(({ status }) => status)).toEqual(["RUNNING", "RUNNING"]);
  });

  test("the scheduler's own action wins", async () => {
    const scheduler = await start();
    scheduler.port.answer = () => ({ kind: "stored", action: "PLEASE_ABORT" });
    for (const status of ["STARTING", "STARTED", "COMPUTED"]) expect((await post(scheduler, { status })).text).toBe(`"PLEASE_ABORT"`);
  });

  test("ABORTED is always answered with PLEASE_WAIT: a second post, or a loop of aborts, is spared", async () => {
    const scheduler = await start();
    for (const kind of ["stored", "duplicate", "refused"] as const) {
      scheduler.port.answer = () => ({ kind, action: "PLEASE_ABORT" });
      expect((await post(scheduler, { status: "ABORTED", details: { cause: "CONSENSUS_REACHED" } })).text).toBe(`"PLEASE_WAIT"`);
    }
    expect(scheduler.port.reports[0]).toMatchObject({ status: "ABORTED_ON_CONSENSUS_REACHED", cause: "CONSENSUS_REACHED", seq: 0 });
  });

  test("CONTRIBUTING says CAN_CONTRIBUTE first; COMPLETING says nothing", async () => {
    const scheduler = await start();
    await post(scheduler, { status: "CONTRIBUTING" });
    expect((await post(scheduler, { status: "COMPLETING" })).text).toBe(`"PLEASE_CONTINUE"`);
    expect(scheduler.port.reports.map(({ status }) => status)).toEqual(["CAN_CONTRIBUTE", "CONTRIBUTING"]);
  });

  test("contribute-and-finalize stands for three statuses; its link comes with the last", async () => {
    const scheduler = await start();
    const details = { chainReceipt: { blockNumber: 7, txHash: "0xab" }, resultLink: "link" };
    expect((await post(scheduler, { status: "CONTRIBUTE_AND_FINALIZE_DONE", details })).text).toBe(`"PLEASE_WAIT"`);
    expect(scheduler.port.reports.map(({ status, details: sent }) => [status, sent?.resultLink, sent?.chainReceipt?.blockNumber])).toEqual([
      ["CONTRIBUTED", undefined, 7n],
      ["REVEALED", undefined, 7n],
      ["RESULT_UPLOADED", "link", 7n],
    ]);
  });

  test("a path in upper case is the same task", async () => {
    const scheduler = await start();
    await post(scheduler, { status: "COMPUTING" }, `0x${"AB".repeat(32)}`);
    expect(scheduler.port.reports[0]?.taskId).toBe(`0x${"ab".repeat(32)}`);
  });

  test.each([
    ["an unknown status", { status: "RUNNING" }],
    ["broken JSON", "{"],
    ["no body", ""],
  ])("%s is 400", async (_name, body) => {
    expect((await post(await start(), body)).status).toBe(400);
  });

  test("the largest logs pass, more than that does not", async () => {
    const scheduler = await start();
    const stdout = "\u0001".repeat(100_000);
    const body = { status: "COMPUTED", details: { exitCode: 0, computeLogs: { stdout, stderr: stdout } } };
    expect((await post(scheduler, body)).text).toBe(`"PLEASE_CONTRIBUTE"`);
    expect(scheduler.port.reports[0]?.details?.computeLogs).toEqual({ stdout, stderr: stdout });
    expect((await post(scheduler, { status: "COMPUTED", padding: "x".repeat(3 * 1024 * 1024) })).status).toBe(413);
  });

  test("a passing failure is held, not answered; one that stays is 503; a bug is 500 without its text", async () => {
    const port = new FakePort();
    // Waits take no time and the clock jumps by them.
    let ms = 0;
    const clock = {
      now: () => new Date(),
      monotonicMs: () => ms,
      sleep: async (wait: number) => {
        ms += wait;
        await new Promise((resolve) => setImmediate(resolve));
      },
    };
    const loginKey = new Uint8Array(32);
    const app = fastify();
    registerSchedulerRoutes(app, port, { loginKey, clock });
    const authorization = `Bearer ${new LoginTokens(loginKey, clock).issue(WALLET)}`;
    const send = () =>
      app.inject({ method: "POST", url: `/replicates/${TASK}/updateStatus`, headers: { authorization }, payload: { status: "COMPUTING" } });
    let failures = 3;
    port.answer = () => {
      failures -= 1;
      if (failures >= 0) throw new CodedError("WIR-1002", { status: 500, url: "x" });
      return { kind: "stored", action: undefined };
    };
    expect((await send()).statusCode).toBe(200);
    failures = Number.POSITIVE_INFINITY;
    expect((await send()).statusCode).toBe(503);
    expect(ms).toBeGreaterThan(30_000);
    port.answer = () => {
      throw new Error("password=hunter2");
    };
    const bug = await send();
    expect([bug.statusCode, bug.body]).toEqual([500, `{"code":"SVC-1000"}`]);
    await app.close();
  });
});

describe("native dialect", () => {
  test("info names the dialect", async () => {
    const { url } = await start();
    expect(JSON.parse((await rawRequest("GET", `${url}/v1/info`)).text)).toEqual({
      product: "iexec-ts",
      version: "9.3.0",
      dialect: "native",
    });
  });

  test("a status keeps its number, cause, time and details", async () => {
    const { url, port } = await start();
    port.answer = () => ({ kind: "duplicate", action: "PLEASE_REVEAL" });
    const token = await login(url);
    const body = { seq: 4, status: "OUT_OF_GAS", cause: "CHN-1", at: "2026-01-02T03:04:05.678Z", details: { exitCode: 3 } };
    const answer = await rawRequest("POST", `${url}/v1/replicates/${TASK}/statuses`, { token, body: JSON.stringify(body) });
    expect(JSON.parse(answer.text)).toEqual({ kind: "duplicate", action: "PLEASE_REVEAL" });
    expect(port.reports).toEqual([{ ...body, at: new Date(body.at), taskId: TASK }]);
  });

  test.each([
    ["seq 0", { seq: 0, status: "RUNNING", at: "2026-01-02T03:04:05.678Z" }],
    ["a v9 status", { seq: 1, status: "STARTING", at: "2026-01-02T03:04:05.678Z" }],
    ["a bad date", { seq: 1, status: "RUNNING", at: "yesterday" }],
  ])("%s is 400", async (_name, body) => {
    const { url } = await start();
    const token = await login(url);
    const answer = await rawRequest("POST", `${url}/v1/replicates/${TASK}/statuses`, { token, body: JSON.stringify(body) });
    expect([answer.status, JSON.parse(answer.text).code]).toEqual([400, "WIR-2001"]);
  });
});
