import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { chainTime } from "@iexec-ts/poco";
import { createWatchdog, seededRandom, systemClock } from "@iexec-ts/service";
import { type Anvil, HandClock, startAnvil } from "@iexec-ts/testkit";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { WebSocketServer } from "ws";
import { z } from "zod";
import { createEventStream } from "../events/event-stream.ts";
import { rpcTo } from "../test/chain-rig.ts";
import { Endpoint } from "./endpoint.ts";
import { callNode, parseRpcAddress } from "./json-rpc.ts";
import { Monitor } from "./monitor.ts";
import { createRpcPool } from "./rpc-pool.ts";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");
const ends: (() => unknown)[] = [];
let anvil: Anvil;
beforeAll(async () => {
  anvil = await startAnvil();
});
afterAll(() => anvil.stop());
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5);
}

const callSchema = z.object({ method: z.string() });

/** A node that answers only the calls `answers` lets through, and lets the others wait for ever. */
async function node(answers: (method: string) => boolean) {
  const calls: string[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const part of request) body += String(part);
    const { method } = callSchema.parse(JSON.parse(body));
    calls.push(method);
    if (!answers(method)) return;
    const answer = await fetch(anvil.url, { method: "POST", headers: { "content-type": "application/json" }, body });
    response.end(await answer.text());
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${address.port}`, calls, server };
}

test("nodes that answer their monitors and hang on everything else cost a question no more than its time", async () => {
  const lets = (method: string): boolean => ["eth_chainId", "eth_getBlockByNumber"].includes(method);
  const nodes = [await node(lets), await node(lets)];
  const urls = nodes.map(({ url }) => ({ url, ws: false }) as const);
  const pool = await createRpcPool({ urls, requestTimeoutMs: 300, pollMs: 10 }, { clock: systemClock });
  ends.push(() => pool.close());
  const question = pool.client.getBalance({ address: "0x00000000000000000000000000000000000051ca" });
  await expect(question).rejects.toMatchObject({ cause: { code: "CHN-1003" } });
  expect(nodes.flatMap(({ calls }) => calls.filter((method) => method === "eth_getBalance")).length).toBeLessThanOrEqual(3);
});

test("what follows a node and hangs is told within its bound, and follows it again", async () => {
  const clock = new HandClock();
  const watchdog = createWatchdog({ clock });
  const stalls: string[] = [];
  watchdog.onStall(({ code }, { loop }) => stalls.push(`${code} ${loop}`));
  let asked = 0;
  // Answers nothing once, and hears no signal: what no time-out of ours would end.
  class Hanging extends Endpoint {
    override async readHead(signal: AbortSignal) {
      asked += 1;
      if (asked === 1) await new Promise(() => undefined);
      return super.readHead(signal);
    }
  }
  const hanging = new Hanging(parseRpcAddress({ url: anvil.url, ws: false }), { timeoutMs: 1_000 }, { clock: systemClock });
  const heads: bigint[] = [];
  const monitor = new Monitor(hanging, {
    clock,
    random: seededRandom(1),
    identity: { chainId: undefined, hub: undefined },
    watchdog,
    pace: () => 1_000,
    onHead: (_, head) => heads.push(head.number),
    onChange: () => undefined,
  });
  monitor.start();
  ends.push(() => monitor.close());
  await until(() => asked === 1);
  await clock.pass(119_999);
  expect([stalls, heads]).toEqual([[], []]);
  await clock.pass(1);
  expect(stalls).toEqual(["SVC-1501 node"]);
  await until(() => heads.length > 0);
});

test("a subscription that stays open and says nothing of blocks that come is opened again", async () => {
  const { server, url } = await node(() => true);
  const sockets = new WebSocketServer({ server });
  let subscriptions = 0;
  sockets.on("connection", (socket) => {
    subscriptions += 1;
    // The first keeps answering pings, as a proxy does whose node behind it is gone.
    socket.on("message", () => socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, result: "0x1" })));
  });
  ends.push(() => sockets.close());
  let aheadMs = 0;
  const clock = { ...systemClock, monotonicMs: () => systemClock.monotonicMs() + aheadMs };
  const pool = await createRpcPool({ urls: [url], pollMs: 20 }, { clock, watchdog: createWatchdog() });
  ends.push(() => pool.close());
  await until(() => subscriptions === 1);
  await delay(50);
  for (const ms of [0, 16_000]) {
    aheadMs += ms;
    const next = pool.head().number + 1n;
    await rpcTo(anvil.url, "evm_mine");
    await pool.waitForBlock(next);
  }
  aheadMs += 16_000;
  await until(() => subscriptions >= 2);
});

test("whoever waits for a block leaves nothing on the signal it waited with", async () => {
  const pool = await createRpcPool({ urls: [anvil.url], pollMs: 20 }, { clock: systemClock });
  ends.push(() => pool.close());
  const abort = new AbortController();
  const far = pool.waitForTime(chainTime(2n ** 40n), abort.signal);
  for (let turn = 0; turn < 5; turn += 1) {
    await delay(10);
    collect();
  }
  abort.abort("enough");
  await expect(far).rejects.toBe("enough");
});

test("a handler of events that hangs is told within its bound, and the range is delivered again", async () => {
  const clock = new HandClock();
  const watchdog = createWatchdog({ clock });
  const codes: string[] = [];
  watchdog.onStall(({ code }) => codes.push(code));
  const pool = await createRpcPool({ urls: [anvil.url], pollMs: 20 }, { clock: systemClock });
  ends.push(() => pool.close());
  await rpcTo(anvil.url, "anvil_mine", "0x200");
  await pool.waitForBlock(0x200n);
  const stream = createEventStream(
    pool,
    { address: "0x00000000000000000000000000000000000051ca", topics: [], fromBlock: 0n, reorgDepth: 4, lag: 0, maxRange: 1_000 },
    { load: async () => undefined, clock: systemClock, watchdog },
  );
  const stop = new AbortController();
  const signals: AbortSignal[] = [];
  const running = stream.run(async (_batch, signal) => {
    signals.push(signal);
    if (signals.length === 1) await new Promise(() => undefined);
  }, stop.signal);
  await until(() => signals.length === 1);
  await clock.pass(180_000);
  expect(codes).toEqual(["SVC-1501"]);
  await until(() => signals.length === 2);
  expect(signals.map(({ aborted }) => aborted)).toEqual([true, false]);
  stop.abort();
  await running;
});

test("an abort after forced collections ends a call to a node", async () => {
  const silent = await node(() => false);
  const abort = new AbortController();
  let outcome: unknown = "pending";
  (() => {
    void callNode(parseRpcAddress(silent.url), "eth_chainId", [], { timeoutMs: 60_000, signal: abort.signal }).catch((thrown: unknown) => {
      outcome = thrown;
    });
  })();
  for (let turn = 0; turn < 5; turn += 1) {
    await delay(10);
    collect();
  }
  expect(outcome).toBe("pending");
  abort.abort("enough");
  await until(() => outcome === "enough");
});
