import { seededRandom, systemClock } from "@iexec-ts/service";
import { fastify } from "fastify";
import { describe, expect, test } from "vitest";
import {
  ACCOUNT,
  FakePort,
  ME,
  movableClock,
  notificationOf,
  OTHER_WALLET,
  reportOf,
  type StartOptions,
  TASK,
  until,
} from "../testing/fake-scheduler.ts";
import { connect, ends, isUp, soon, start } from "../testing/links.ts";
import { connectScheduler } from "./connect.ts";

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
