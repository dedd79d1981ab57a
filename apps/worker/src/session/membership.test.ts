import { chainTime } from "@iexec-ts/poco";
import { backoff, CodedError, createWatchdog, seededRandom, silentLogger } from "@iexec-ts/service";
import { HandClock } from "@iexec-ts/testkit";
import type { SchedulerConnection } from "@iexec-ts/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TASK, World } from "../replicate/test/world.ts";
import { joinPool, type Membership } from "./membership.ts";

let world: World;
let clock: HandClock;
let asked: number;
let sent: string[];
beforeEach(() => {
  world = new World();
  clock = new HandClock();
  asked = 0;
  sent = [];
});
afterEach(() => world.close());

/** A scheduler that does not answer what was missed the first times. */
const scheduler = (failures: number): SchedulerConnection => ({
  dialect: "native",
  version: "1.0.0",
  configuration: {
    workerPoolAddress: `0x${"1".repeat(40)}`,
    schedulerPublicAddress: `0x${"2".repeat(40)}`,
    configServerUrl: "http://127.0.0.1",
    resultRepositoryURL: "http://127.0.0.1",
    askForReplicatePeriod: 5_000,
    requiredWorkerVersion: "",
  },
  chain: undefined,
  state: "up",
  register: async () => undefined,
  demand: (_, signal) => clock.sleep(1_000_000, signal).then(() => undefined),
  interrupted: async () => {
    asked += 1;
    if (asked <= failures) throw new CodedError("WIR-1001", { url: "http://127.0.0.1", reason: "busy" });
    return [];
  },
  report: async ({ status }) => {
    sent.push(status);
    return { kind: "stored", action: undefined };
  },
  subscribe: () => undefined,
  unsubscribe: () => undefined,
  onNotification: () => () => undefined,
  onState: () => () => undefined,
  onCatchUp: () => () => undefined,
  onConfiguration: () => () => undefined,
  close: async () => undefined,
});

const join = (failures: number, signal: AbortSignal): Promise<Membership> =>
  joinPool({
    link: scheduler(failures),
    me: {
      name: "me",
      walletAddress: `0x${"3".repeat(40)}`,
      os: "Linux",
      cpu: "x64",
      cpuNb: 1,
      memorySize: 1,
      teeEnabled: false,
      tdxEnabled: false,
      gpuEnabled: false,
    },
    engine: { notify: () => undefined, drive: () => undefined, onClosed: () => () => undefined },
    journal: world.journal,
    pool: { head: () => ({ number: 1n, hash: "0x1", timestamp: chainTime(1n), baseFeePerGas: undefined }) },
    slots: () => 0,
    takeIn: async () => world.journal.get(TASK),
    gate: { look: async () => undefined, onChange: () => () => undefined },
    onLook: () => undefined,
    backoff: () => backoff({ baseMs: 250, maxMs: 15_000 }, seededRandom(1)),
    clock,
    log: silentLogger,
    watchdog: createWatchdog({ clock }),
    signal,
  });

test("a restarted worker reports nothing before the scheduler has answered what was missed", async () => {
  const stop = new AbortController();
  world.journal.record(TASK, "RUNNING");
  const joining = join(3, stop.signal);
  await clock.pass(200);
  expect([asked > 0, sent]).toEqual([true, []]);
  await clock.pass(10_000);
  const member = await joining;
  await clock.pass(1_000);
  expect([asked, sent]).toEqual([4, ["RUNNING"]]);
  const closing = member.close();
  await clock.pass(10_000);
  await closing;
});

test("a worker that owes nothing joins although the scheduler does not say what was missed", async () => {
  const stop = new AbortController();
  world.journal.close(TASK);
  const member = await join(1_000, stop.signal);
  expect(asked).toBe(1);
  const closing = member.close();
  await clock.pass(10_000);
  await closing;
});

test("a worker that is told to stop does not wait for the answer", async () => {
  const stop = new AbortController();
  const joining = join(1_000, stop.signal);
  joining.catch(() => undefined);
  await clock.pass(5_000);
  stop.abort("stop");
  await expect(joining).rejects.toBe("stop");
});
