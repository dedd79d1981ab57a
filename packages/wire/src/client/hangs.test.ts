import { getEventListeners } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createWatchdog, seededRandom } from "@iexec-ts/service";
import { HandClock } from "@iexec-ts/testkit";
import { expect, test } from "vitest";
import type { ReportAnswer } from "../api.ts";
import { ACCOUNT, FakePort, OTHER_TASK, type RunningScheduler, reportOf, TASK, until } from "../testing/fake-scheduler.ts";
import { connect, ends, isUp, start } from "../testing/links.ts";
import { connectScheduler } from "./connect.ts";
import { openWebSocketChannel } from "./websocket-channel.ts";
import { openXhrChannel } from "./xhr-channel.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** A link whose time the test moves; the first request of `path` is never answered, and does not hear its signal. */
async function linkThatHangs(path: string, scheduler: RunningScheduler) {
  const clock = new HandClock();
  const watchdog = createWatchdog({ clock });
  const stalls: string[] = [];
  watchdog.onStall(({ code }, { loop }) => stalls.push(`${code} ${loop}`));
  let hung = 0;
  const fetch: typeof globalThis.fetch = async (input, init) => {
    if (new URL(String(input)).pathname === path && hung === 0) {
      hung += 1;
      await new Promise(() => undefined);
    }
    return globalThis.fetch(input, init);
  };
  const link = await connectScheduler(
    { url: scheduler.url, account: ACCOUNT, dialect: "auto", version: "1" },
    { clock, random: seededRandom(1), fetch, watchdog },
  );
  ends.push(() => link.close());
  return { clock, link, stalls, hung: () => hung };
}

test("a push link that hangs is told within its bound and connects by itself", async () => {
  const scheduler = await start();
  const { clock, link, stalls, hung } = await linkThatHangs("/connect/info", scheduler);
  await until(() => hung() === 1);
  await clock.pass(149_999);
  expect(stalls).toEqual([]);
  await clock.pass(1);
  expect(stalls).toEqual(["SVC-1501 push link"]);
  await isUp(link);
});

test("a ping that hangs is told within its bound and pings again by itself", async () => {
  const scheduler = await start();
  const { clock, link, stalls, hung } = await linkThatHangs("/workers/ping", scheduler);
  await until(() => hung() === 1);
  await clock.pass(180_000);
  expect(stalls).toContain("SVC-1501 ping");
  await until(() => scheduler.port.pings.length > 0 && link.state !== "down");
});

test("a link that hangs in its push channel does not hold its own close", async () => {
  const scheduler = await start();
  const { clock, link, hung } = await linkThatHangs("/connect/info", scheduler);
  await until(() => hung() === 1);
  let closed = false;
  void link.close().then(() => {
    closed = true;
  });
  await clock.pass(5_000);
  await until(() => closed);
});

test("a broker that is dead behind a transport that lives is left", async () => {
  const scheduler = await start();
  const { clock, link } = await linkThatHangs("/nowhere", scheduler);
  await isUp(link);
  const opened = (): number => scheduler.requests.filter((line) => line.endsWith("/websocket")).length;
  expect(opened()).toBe(1);
  // By the link's clock the broker is silent: its own goes on much slower.
  await clock.pass(45_000);
  await until(() => opened() === 2);
});

test("a report that gives up waiting for its turn does so at once, and the next keeps the order", async () => {
  const release = Promise.withResolvers<void>();
  class SlowPort extends FakePort {
    override async report(...[wallet, report]: Parameters<FakePort["report"]>): Promise<ReportAnswer> {
      if (report.taskId === TASK) await release.promise;
      return super.report(wallet, report);
    }
  }
  const scheduler = await start({ port: new SlowPort() });
  const link = await connect(scheduler.url);
  const first = link.report(reportOf({ seq: 1 }));
  const abort = new AbortController();
  const second = link.report(reportOf({ seq: 2 }), abort.signal);
  const third = link.report(reportOf({ seq: 3 }));
  abort.abort("enough");
  await expect(second).rejects.toBe("enough");
  expect((await link.report(reportOf({ taskId: OTHER_TASK }))).kind).toBe("stored");
  release.resolve();
  await Promise.all([first, third]);
  expect(scheduler.port.reports.filter(({ taskId }) => taskId === TASK).map(({ seq }) => seq)).toEqual([1, 3]);
});

test("questions of weeks leave no listener on the signal they were asked with", async () => {
  const scheduler = await start();
  const link = await connect(scheduler.url);
  const abort = new AbortController();
  for (let seq = 1; seq <= 20; seq += 1) await link.report(reportOf({ seq }), abort.signal);
  expect(getEventListeners(abort.signal, "abort")).toHaveLength(0);
});

test.each([
  ["a websocket", openWebSocketChannel],
  ["a stream over HTTP", openXhrChannel],
] as const)("an abort after forced collections ends %s", async (_, open) => {
  const scheduler = await start();
  const abort = new AbortController();
  const url = `${scheduler.url}/connect/000/${crypto.randomUUID()}`;
  let ended: string | undefined;
  await (async () => {
    const channel = await open({ url, onText: () => undefined, onAlive: () => undefined, signal: abort.signal });
    void channel.ended.then((reason) => {
      ended = reason;
    });
  })();
  for (let turn = 0; turn < 5; turn += 1) {
    await delay(10);
    collect();
  }
  expect(ended).toBeUndefined();
  abort.abort();
  for (let turn = 0; turn < 5; turn += 1) {
    await delay(10);
    collect();
  }
  expect(ended).toBe("the link is closing");
});

test("an abort after forced collections ends a held demand, and the scheduler hears of it", async () => {
  const scheduler = await start();
  const link = await connect(scheduler.url);
  const abort = new AbortController();
  let outcome: unknown = "pending";
  void link.demand({ blockNumber: 1n }, abort.signal).catch((thrown: unknown) => {
    outcome = thrown;
  });
  await until(() => scheduler.port.waits.length === 1);
  for (let turn = 0; turn < 5; turn += 1) {
    await delay(10);
    collect();
  }
  expect(outcome).toBe("pending");
  abort.abort("enough");
  await until(() => outcome === "enough" && scheduler.port.aborted.length === 1);
});
