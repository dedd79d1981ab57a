import { setImmediate as turn } from "node:timers/promises";
import { backoff, type CodedError, createWatchdog, seededRandom, silentLogger } from "@iexec-ts/service";
import { HandClock } from "@iexec-ts/testkit";
import type { ReportAnswer, StatusReport } from "@iexec-ts/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TASK, World } from "../replicate/test/world.ts";
import { Reporter } from "./reporter.ts";

const STORED: ReportAnswer = { kind: "stored", action: undefined };
let world: World;
let clock: HandClock;
let told: CodedError[];
let sent: string[];
beforeEach(() => {
  world = new World();
  clock = new HandClock();
  told = [];
  sent = [];
});
afterEach(() => world.close());

function start(report: (report: StatusReport, signal: AbortSignal | undefined) => Promise<ReportAnswer>): Reporter {
  const watchdog = createWatchdog({ clock });
  watchdog.onStall((error) => told.push(error));
  return new Reporter(
    {
      report: (one, signal) => {
        sent.push(one.status);
        return report(one, signal);
      },
    },
    () => undefined,
    { journal: world.journal, backoff: () => backoff({ baseMs: 250, maxMs: 15_000 }, seededRandom(1)), clock, log: silentLogger, watchdog },
  );
}

/** Closes while the clock moves. */
async function close(reporter: Reporter): Promise<void> {
  const limit = new AbortController();
  const closing = reporter.close(limit.signal);
  await turn();
  limit.abort();
  await clock.pass(10_000);
  await closing;
}

test("a report whose answer got lost is sent again, and what was recorded meanwhile follows in order", async () => {
  const reporter = start(() => (sent.length === 1 ? new Promise(() => undefined) : Promise.resolve(STORED)));
  world.journal.record(TASK, "RUNNING");
  await clock.pass(1_000);
  world.journal.record(TASK, "APP_DOWNLOADING");
  await clock.pass(1_000);
  expect(sent).toEqual(["RUNNING"]);
  await clock.pass(302_000);
  expect(sent).toEqual(["RUNNING", "RUNNING", "APP_DOWNLOADING"]);
  expect(world.journal.undelivered(TASK)).toEqual([]);
  expect(told).toEqual([]);
  await close(reporter);
});

test("a scheduler that is away for a day is no reason for an alarm", async () => {
  const reporter = start((_, signal) => clock.sleep(86_400_000, signal).then(() => STORED));
  world.journal.record(TASK, "RUNNING");
  await clock.pass(86_400_000);
  expect(told).toEqual([]);
  expect(world.journal.undelivered(TASK)).toHaveLength(1);
  await close(reporter);
});

test("a report that hangs does not hold the stop", async () => {
  const reporter = start(() => new Promise(() => undefined));
  world.journal.record(TASK, "RUNNING");
  await clock.pass(1_000);
  await close(reporter);
  expect(world.journal.undelivered(TASK)).toHaveLength(1);
});
