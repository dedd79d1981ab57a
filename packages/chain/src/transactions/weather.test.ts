import { wei } from "@iexec-ts/poco";
import { seededRandom, systemClock } from "@iexec-ts/service";
import { type RpcFaults, startRpcFaultProxy } from "@iexec-ts/testkit";
import { afterEach, expect, test } from "vitest";
import { createRpcPool } from "../rpc/rpc-pool.ts";
import { type ChainRig, intentOf, sinkBalance, startRig } from "../test/chain-rig.ts";

let rig: ChainRig;
afterEach(() => rig.close());

const WEATHER: readonly RpcFaults[] = [
  {},
  { sendRawTransaction: "lost-answer" },
  { sendRawTransaction: "drop" },
  { sendRawTransaction: "refuse" },
  { nullReceipts: true },
  { down: true },
  { tooManyRequests: 2 },
  { garbage: true },
];
const INTENTS = 15;

test.each([1, 2, 3])("nodes that lose answers, transactions and receipts cost no effect and double none (seed %i)", async (seed) => {
  rig = await startRig();
  const random = seededRandom(seed);
  const nodes = await Promise.all([startRpcFaultProxy(rig.anvil.url), startRpcFaultProxy(rig.anvil.url)]);
  for (const node of nodes) rig.onClose(() => node.stop());
  const pool = await createRpcPool({ urls: nodes.map(({ url }) => url), requestTimeoutMs: 1_000 }, { clock: systemClock });
  rig.onClose(() => pool.close());
  const changeWeather = () => {
    for (const node of nodes) {
      node.heal();
      if (random.float() < 0.4) Object.assign(node.faults, WEATHER[Math.floor(random.float() * WEATHER.length)]);
    }
  };
  const queue = await rig.queue({ pool, stuckAfterMs: 300, finalDepth: 100 }, { checkpoint: changeWeather });
  const clearing = setInterval(() => {
    for (const node of nodes) node.heal();
  }, 1_500);
  const outcomes = await Promise.all(Array.from({ length: INTENTS }, (_, n) => queue.submit(intentOf(`w${n}`, { value: wei(1n) }))));
  clearInterval(clearing);
  expect(outcomes.map(({ kind }) => kind)).toEqual(Array(INTENTS).fill("mined"));
  expect(await sinkBalance(rig)).toBe(BigInt(INTENTS));
  expect(await rig.nonce()).toBe(INTENTS);
});

test("receipts that do not come are waited for: the effect is not signed a second time", async () => {
  rig = await startRig();
  const node = await startRpcFaultProxy(rig.anvil.url);
  rig.onClose(() => node.stop());
  const pool = await createRpcPool({ urls: [node.url] }, { clock: systemClock });
  rig.onClose(() => pool.close());
  node.faults.nullReceipts = true;
  const foreign: unknown[] = [];
  const queue = await rig.queue({ pool }, { onForeign: (event) => foreign.push(event) });
  const outcome = queue.submit(intentOf("unseen", { value: wei(1n) }));
  const asked = () => node.calls.filter((method) => method === "eth_getTransactionReceipt").length;
  while (asked() < 5) await systemClock.sleep(50);
  node.heal();
  expect(await outcome).toMatchObject({ kind: "mined" });
  expect((await queue.list())[0]?.attempts).toHaveLength(1);
  expect([await sinkBalance(rig), await rig.nonce(), foreign]).toEqual([1n, 1, []]);
});
