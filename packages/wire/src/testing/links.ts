import { seededRandom, systemClock } from "@iexec-ts/service";
import { afterEach } from "vitest";
import type { SchedulerConnection } from "../api.ts";
import { type ConnectOptions, connectScheduler } from "../client/connect.ts";
import { ACCOUNT, type RunningScheduler, type StartOptions, startScheduler, until } from "./fake-scheduler.ts";

/** What the running test has to end, last first. */
export const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

export async function start(options: StartOptions = {}): Promise<RunningScheduler> {
  const scheduler = await startScheduler(options);
  ends.push(scheduler.stop);
  return scheduler;
}

export async function connect(url: string, options: Partial<ConnectOptions> = {}): Promise<SchedulerConnection> {
  // Waits shrink to a tenth, so that back-offs of seconds pass in a test.
  const clock = { ...systemClock, sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(ms / 10, signal) };
  const link = await connectScheduler(
    { url, account: ACCOUNT, dialect: "auto", version: "1.0.0", ...options },
    { clock, random: seededRandom(1) },
  );
  ends.push(() => link.close());
  return link;
}

export const soon = (): AbortSignal => AbortSignal.timeout(30_000);
export const isUp = (link: SchedulerConnection): Promise<void> => until(() => link.state === "up");
