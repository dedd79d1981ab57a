import { wei } from "@iexec-ts/poco";
import { afterEach, describe, expect, test } from "vitest";
import { type ChainRig, GWEI, intentOf, REVERTS, sinkBalance, startRig, untilRecord, untilState } from "../test/chain-rig.ts";

let rig: ChainRig;
afterEach(() => rig.close());

describe("on a chain that mines at once", () => {
  test("50 intents submitted together are mined with dense nonces, each once", async () => {
    rig = await startRig();
    const queue = await rig.queue();
    const outcomes = await Promise.all(Array.from({ length: 50 }, (_, n) => queue.submit(intentOf(`i${n}`, { value: wei(1n) }))));
    expect(outcomes.map(({ kind }) => kind)).toEqual(Array(50).fill("mined"));
    const nonces = (await queue.list(100)).map(({ nonce }) => nonce).sort((a, b) => Number(a) - Number(b));
    expect(nonces).toEqual(Array.from({ length: 50 }, (_, n) => n));
    expect(await sinkBalance(rig)).toBe(50n);
  });

  test("the same id is one effect, whoever asks and how often", async () => {
    rig = await startRig();
    const queue = await rig.queue();
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => queue.submit(intentOf("one", { value: wei(1n) }))));
    const later = await queue.submit(intentOf("one", { value: wei(1n) }));
    expect(new Set([...outcomes, later].map((outcome) => (outcome.kind === "mined" ? outcome.hash : outcome.kind))).size).toBe(1);
    expect(await sinkBalance(rig)).toBe(1n);
    await expect(queue.submit(intentOf("one", { value: wei(2n) }))).rejects.toMatchObject({ code: "CHN-3001" });
  });

  test("a call that the contract refuses costs nothing and may be submitted again", async () => {
    rig = await startRig();
    const queue = await rig.queue();
    const to = "0x00000000000000000000000000000000000000c0";
    await rig.rpc("anvil_setCode", to, REVERTS);
    expect(await queue.submit(intentOf("bad", { to }))).toMatchObject({ kind: "refused" });
    expect(await rig.nonce()).toBe(0);
    await rig.rpc("anvil_setCode", to, "0x00");
    await rig.mine();
    expect(await queue.submit(intentOf("bad", { to }))).toMatchObject({ kind: "mined" });
  });

  test("a mined record becomes final when it is deep enough, and still tells its outcome", async () => {
    rig = await startRig();
    const queue = await rig.queue();
    await queue.submit(intentOf("deep"));
    const final = untilState(queue, "deep", "final");
    for (let n = 0; n < 4; n += 1) await rig.mine();
    expect(await final).toMatchObject({ settled: true, nonce: 0 });
    expect(await queue.submit(intentOf("deep"))).toMatchObject({ kind: "mined" });
  });

  test("out of gas sends nothing; after a refill the same intent goes through", async () => {
    rig = await startRig();
    const queue = await rig.queue();
    await rig.rpc("anvil_setBalance", rig.account.address, "0x10");
    expect(await queue.submit(intentOf("poor"))).toMatchObject({ kind: "out-of-gas", balance: 16n });
    expect(await rig.nonce()).toBe(0);
    await rig.rpc("anvil_setBalance", rig.account.address, "0xde0b6b3a7640000");
    expect(await queue.submit(intentOf("poor"))).toMatchObject({ kind: "mined" });
  });

  test("an intent whose time has passed is not sent", async () => {
    rig = await startRig();
    const queue = await rig.queue();
    const outcome = await queue.submit(intentOf("late", { before: rig.pool.head().timestamp }));
    expect(outcome).toEqual({ kind: "expired" });
    expect(await rig.nonce()).toBe(0);
  });

  test("a base fee above the cap is waited for", async () => {
    rig = await startRig();
    const queue = await rig.queue({ gas: { multiplier: 1.3, cap: 5n * GWEI } });
    await rig.rpc("anvil_setNextBlockBaseFeePerGas", "0x2540be400");
    await rig.mine();
    await rig.pool.waitForBlock(1n);
    expect(await queue.quote(100_000n)).toMatchObject({ aboveCap: true });
    const outcome = queue.submit(intentOf("dear"));
    expect(await untilRecord(queue, "dear", ({ note }) => note !== undefined)).toMatchObject({ state: "waiting", attempts: [] });
    await rig.rpc("anvil_setNextBlockBaseFeePerGas", "0x3b9aca00");
    await rig.mine();
    expect(await outcome).toMatchObject({ kind: "mined" });
    const [record] = await queue.list();
    expect(record?.attempts[0]?.maxFeePerGas).toBeLessThanOrEqual(5n * GWEI);
  });
});
