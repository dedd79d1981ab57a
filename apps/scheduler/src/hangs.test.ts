import { addressSchema, type TaskId } from "@iexec-ts/poco";
import { createWatchdog, plantHang } from "@iexec-ts/service";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import type { EnclaveService } from "./tasks/enclave.ts";
import { contribute, type Ground, openGround, openWorld, reveal, upload, type World } from "./test/world.ts";

const POOL = z.object({
  stalls: z.array(z.object({ loop: z.string(), of: z.string().optional(), restarts: z.number(), mendedAt: z.string().optional() })),
});
const HEALTH = z.object({ status: z.string(), components: z.object({ loops: z.object({ status: z.string() }) }) });
let ground: Ground;
let world: World;
beforeAll(async () => {
  ground = await openGround();
});
afterAll(async () => {
  await ground.close();
});
beforeEach(async () => {
  world = await openWorld(ground);
});
afterEach(async () => {
  await world.close();
});

const stallsAt = async (url: string) => POOL.parse(await (await fetch(`${url}/v1/pool`)).json()).stalls;
const standingAt = async (url: string): Promise<readonly string[]> =>
  (await stallsAt(url)).filter(({ mendedAt }) => mendedAt === undefined).map(({ loop }) => loop);

const LOOPS = ["signals", "leadership", "dispatcher", "decision", "calls", "demand", "pings", "liveness", "sweep", "event readers"];

test("each loop of a scheduler may hang at its first run: it is told, mended, and the task is done", async () => {
  const watchdog = plantHang(createWatchdog({ graceMs: 500 }), { at: LOOPS.join(","), boundMs: "400" });
  const scheduler = await world.scheduler({}, { watchdog });
  const worker = await world.worker(10, scheduler);
  await world.buy(1n);
  const taskId = await contribute(world, worker);
  await world.until(scheduler, taskId, "consensus", ({ status }) => status === "CONSENSUS_REACHED");
  await reveal(world, worker, taskId);
  await world.until(scheduler, taskId, "upload request", ({ replicates }) =>
    replicates.some(({ status }) => status === "RESULT_UPLOAD_REQUESTED"),
  );
  await upload(world, worker, taskId);
  await world.until(scheduler, taskId, "completed", ({ status }) => status === "COMPLETED");
  const stalls = await stallsAt(scheduler.url);
  expect(new Set(stalls.map(({ loop }) => loop))).toEqual(new Set(LOOPS));
  expect(stalls.every(({ mendedAt }) => mendedAt !== undefined)).toBe(true);
  const metrics = await (await fetch(`${scheduler.url}/metrics`)).text();
  for (const loop of LOOPS) expect(metrics).toContain(`iexec_scheduler_loop_stalls_total{loop="${loop}"} 1`);
  expect(metrics).toContain("iexec_scheduler_stalled_loops 0");
  expect(metrics).toContain(`iexec_errors_total{code="SVC-1501"} ${LOOPS.length}`);
});

test("a loop that goes on standing still is told by health, metrics and the API while it does", async () => {
  const watchdog = plantHang(createWatchdog({ graceMs: 500 }), { at: "demand#100000", boundMs: "200" });
  const scheduler = await world.scheduler({}, { watchdog });
  while ((await standingAt(scheduler.url)).length === 0) await fetch(`${scheduler.url}/version`);
  expect(await standingAt(scheduler.url)).toEqual(["demand"]);
  const answer = await fetch(`${scheduler.url}/health`);
  expect(answer.status).toBe(503);
  expect(HEALTH.parse(await answer.json()).components.loops.status).toBe("DOWN");
  expect(await (await fetch(`${scheduler.url}/metrics`)).text()).toContain("iexec_scheduler_stalled_loops 1");
});

test("decisions that never return do not stop the pool: their places are free again, and others are decided", async () => {
  const key = addressSchema.parse(world.chain.account(20).address.toLowerCase());
  const hung = new Set<TaskId>();
  const enclaves: EnclaveService = {
    async challenge(taskId) {
      if (!hung.has(taskId)) {
        hung.add(taskId);
        await new Promise<never>(() => undefined);
      }
      return key;
    },
  };
  const scheduler = await world.scheduler({}, { enclaves, decisionBoundMs: 2_000 });
  const [plain, tdx] = [await world.worker(10, scheduler), await world.worker(11, scheduler)];
  await tdx.join(1, { tdx: true });
  // As many as there are places for decisions.
  await world.buy(1n, { tag: `0x${"9".padStart(64, "0")}`, volume: 12n });
  while (hung.size < 12) await plain.ping();
  const { taskIds } = await world.buy(1n);
  expect((await plain.work()).chainTaskId).toBe(taskIds[0]);
  expect((await tdx.work()).enclaveChallenge).toBe(key);
  while ((await stallsAt(scheduler.url)).filter(({ loop }) => loop === "decision").length < 12) await plain.ping();
  expect(await standingAt(scheduler.url)).toEqual([]);
});

test("a stop does not wait for a decision that hangs", async () => {
  const begun = Promise.withResolvers<void>();
  const enclaves: EnclaveService = {
    challenge() {
      begun.resolve();
      return new Promise<never>(() => undefined);
    },
  };
  const scheduler = await world.scheduler({}, { enclaves });
  await world.buy(1n, { tag: `0x${"9".padStart(64, "0")}` });
  await begun.promise;
  await scheduler.close();
});
