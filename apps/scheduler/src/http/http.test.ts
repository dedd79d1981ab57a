import { hasCode } from "@iexec-ts/service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import type { Scheduler } from "../start.ts";
import { HandWorker } from "../test/hand-worker.ts";
import { contribute, type Ground, openGround, openWorld, type World } from "../test/world.ts";
import { challengeHash } from "./log-access.ts";

let ground: Ground;
let world: World;
let scheduler: Scheduler;
let worker: HandWorker;
let taskId: `0x${string}`;
beforeAll(async () => {
  ground = await openGround();
  world = await openWorld(ground);
  scheduler = await world.scheduler();
  worker = await world.worker(10, scheduler);
  await world.buy(1n);
  taskId = await contribute(world, worker);
  await world.until(scheduler, taskId, "consensus", ({ status }) => status === "CONSENSUS_REACHED");
});
afterAll(async () => {
  await world.close();
  await ground.close();
});

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> => fetch(`${scheduler.url}${path}`, { headers });
const json = async (path: string, headers?: Record<string, string>): Promise<unknown> => (await get(path, headers)).json();
const DOCUMENT = z.object({ domain: z.object({ chainId: z.number() }), message: z.object({ challenge: z.string() }) });

describe("what the SDK reads", () => {
  test("a task and its replicates in the shape of iexec-core 9", async () => {
    expect(await json(`/tasks/${taskId}`)).toMatchObject({
      chainTaskId: taskId,
      currentStatus: "CONSENSUS_REACHED",
      trust: 1,
      maxExecutionTime: 300_000,
      dappType: "DOCKER",
      dappName: "example/app:1",
      replicates: [{ walletAddress: worker.wallet, currentStatus: "CONTRIBUTED", appExitCode: 0 }],
    });
    const replicate = z
      .object({
        self: z.string(),
        appLogs: z.string(),
        contributionHash: z.string(),
        statusUpdateList: z.array(z.object({ status: z.string(), date: z.string() })),
      })
      .parse(await json(`/tasks/${taskId}/replicates/${worker.wallet}`));
    expect(replicate.appLogs).toBe(`${replicate.self}/logs`);
    expect(replicate.statusUpdateList[0]?.date).toMatch(/\+00:00$/);
    expect((await get(`/tasks/0x${"0".repeat(64)}`)).status).toBe(404);
  });

  test("logs for the requester, and for nobody else", async () => {
    const requester = world.chain.account(3);
    const path = `/tasks/${taskId}/logs`;
    const sign = async (account: typeof requester): Promise<string> => {
      const { domain, message } = DOCUMENT.parse(await json(`/tasks/logs/challenge?chainId=31337&address=${account.address}`));
      const hash = challengeHash(message.challenge, domain.chainId);
      return `${hash}_${await account.sign({ hash })}_${account.address}`;
    };
    expect((await get(path)).status).toBe(400);
    expect((await get(path, { authorization: "Bearer nonsense" })).status).toBe(401);
    expect((await get(path, { authorization: await sign(worker.account) })).status).toBe(403);
    const [hash, , address] = (await sign(requester)).split("_");
    const forged = await worker.account.sign({ hash: `0x${"1".repeat(64)}` });
    expect((await get(path, { authorization: `${hash}_${forged}_${address}` })).status).toBe(401);
    const authorization = await sign(requester);
    expect(await json(path, { authorization })).toEqual({
      chainTaskId: taskId,
      computeLogsList: [{ walletAddress: worker.wallet, stdout: "hello", stderr: "" }],
    });
    expect(await json(`/tasks/${taskId}/replicates/${worker.wallet}/logs`, { authorization })).toMatchObject({ stdout: "hello" });
  });

  test("the challenge document hashes as in the Java core", () => {
    // wire.md 1.5, vector
    expect(challengeHash("abc=", 134)).toBe("0x4f274badbc1150abc4cab6c5d8702c78cfcebef25b16bd5e8f831eb6fa9a6b6d");
  });

  test("metrics for Prometheus and for dashboards of the Java core", async () => {
    const plain = await get("/metrics");
    expect(plain.headers.get("content-type")).toContain("text/plain");
    expect(await plain.text()).toContain("iexec_scheduler_");
    const java = z
      .object({ aliveWorkers: z.number(), aliveRegisteredCpu: z.number(), currentTaskStatusesCount: z.record(z.string(), z.number()) })
      .parse(await json("/metrics", { accept: "application/json" }));
    expect([java.aliveWorkers, java.aliveRegisteredCpu, java.currentTaskStatusesCount.CONSENSUS_REACHED]).toEqual([1, 1, 1]);
    expect(Object.keys(java.currentTaskStatusesCount)).toHaveLength(21);
  });
});

describe("what the console reads", () => {
  test("lists with limits, and one task with everything", async () => {
    expect(await json("/v1/tasks?status=CONSENSUS_REACHED&limit=1")).toMatchObject({ tasks: [{ taskId, replicateCount: 1 }] });
    expect(await json("/v1/tasks?status=COMPLETED")).toEqual({ tasks: [] });
    expect((await get("/v1/tasks?status=NONSENSE")).status).toBe(400);
    expect((await get("/v1/tasks?limit=100000")).status).toBe(400);
    expect(await json(`/v1/tasks/${taskId}`)).toMatchObject({
      chain: { status: "REVEALING", winnerCounter: "1" },
      transactions: [{ kind: "initialize", outcome: "mined" }],
      replicates: [{ chainStatus: "CONTRIBUTED", hasLogs: true }],
    });
    expect((await get(`/v1/tasks/0x${"0".repeat(64)}`)).status).toBe(404);
    expect(await json("/v1/workers")).toMatchObject({ workers: [{ wallet: worker.wallet, alive: true, cpuNb: 1 }] });
    expect(await json("/v1/pool")).toMatchObject({ workerpool: world.workerpool, workers: { alive: 1 } });
    expect((await get("/health")).status).toBe(200);
  });

  test("status changes as they happen", async () => {
    const stop = new AbortController();
    const events = await fetch(`${scheduler.url}/v1/events`, { signal: stop.signal });
    expect(events.headers.get("content-type")).toBe("text/event-stream");
    await worker.report(taskId, "REVEALING");
    let seen = "";
    const decoder = new TextDecoder();
    for await (const chunk of events.body ?? []) {
      seen += decoder.decode(chunk);
      if (seen.includes('"status":"REVEALING"')) break;
    }
    expect(seen).toContain(`"wallet":"${worker.wallet}"`);
    stop.abort();
  });
});

describe("who may come in", () => {
  test("a wallet that is not on the list", async () => {
    const closed = await world.scheduler({ whitelist: [worker.wallet] });
    expect(await new HandWorker(world.chain.account(11), closed.url).login()).toBe(401);
    expect(await new HandWorker(worker.account, closed.url).login()).toBe(200);
    await closed.close();
  });

  test("a wallet that does not own the workerpool cannot run it", async () => {
    const foreign = await world.chain.createWorkerpool(world.chain.account(5), { description: "somebody else's" });
    const refused = (code: "SCH-1201" | "SCH-1202") => (thrown: unknown) => hasCode(thrown, code);
    expect(await world.scheduler({ workerpool: foreign }).catch(refused("SCH-1201"))).toBe(true);
    expect(await world.scheduler({ workerpool: worker.wallet }).catch(refused("SCH-1202"))).toBe(true);
  });

  test("a worker without the stake for a task is not given it", async () => {
    const poor = new HandWorker(world.chain.account(30), scheduler.url);
    await poor.join();
    const rich = await world.worker(31, scheduler);
    await world.buy(1n);
    await rich.work();
    await world.buy(1n);
    expect(await poor.demand(2)).toBeUndefined();
  });
});
