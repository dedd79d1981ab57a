import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Anvil, startAnvil, testAccount } from "../index.ts";
import { createSender } from "./sender.ts";

describe("startAnvil", () => {
  let node: Anvil;
  beforeAll(async () => {
    node = await startAnvil({ chainId: 4242, slotsInAnEpoch: 1 });
  });
  afterAll(() => node.stop());

  test("listens on a port it chose itself, with the chain id asked for", async () => {
    expect(node.port).toBeGreaterThan(0);
    const { client } = createSender(node.url, 4242);
    expect(await client.getChainId()).toBe(4242);
  });

  test("a port that is taken is NET-1001", async () => {
    await expect(startAnvil({ port: node.port })).rejects.toMatchObject({ code: "NET-1001", args: { port: node.port } });
  });

  test("the accounts we derive are the ones the node has funded", async () => {
    const { client } = createSender(node.url, 4242);
    for (const index of [0, 1, 9]) expect(await client.getBalance({ address: testAccount(index).address })).toBeGreaterThan(0n);
    expect(testAccount(4).address).toBe("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65");
    expect(testAccount(5).address).toBe("0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc");
  });

  test("stopping twice is the same as once", async () => {
    const other = await startAnvil();
    await other.stop();
    await other.stop();
    // Null when the signal came before anvil listened to signals.
    expect([0, null]).toContain(await other.exited);
  });
});
