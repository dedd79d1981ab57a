import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { wei } from "@iexec-ts/poco";
import { afterEach, expect, test } from "vitest";
import { type ChainRig, intentOf, sinkBalance, startRig, untilState, walletOf } from "../test/chain-rig.ts";

let rig: ChainRig;
afterEach(() => rig.close());

async function runAndDie(dieAt: string): Promise<void> {
  const settings = { url: rig.anvil.url, file: join(rig.folder, "outbox.sqlite"), seed: `${rig.anvil.port}`, dieAt };
  const child = spawn(process.execPath, [join(import.meta.dirname, "../test/crash-child.ts"), JSON.stringify(settings)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  const [code, signal] = await once(child, "exit");
  expect([code, signal]).toEqual([null, "SIGKILL"]);
}

test.each(["tx-journalled", "tx-broadcast", "tx-mined"])("a process killed at %s has each effect once after the restart", async (dieAt) => {
  rig = await startRig();
  await runAndDie(dieAt);
  const queue = await rig.queue();
  const outcomes = await Promise.all(["a", "b", "c"].map((id) => queue.submit(intentOf(id, { value: wei(1n) }))));
  expect(outcomes.map(({ kind }) => kind)).toEqual(["mined", "mined", "mined"]);
  expect(await sinkBalance(rig)).toBe(3n);
  expect(await rig.nonce()).toBe(3);
  for (const record of await queue.list()) expect(record.attempts).toHaveLength(1);
});

test("what an earlier run has left is finished without being submitted again", async () => {
  rig = await startRig();
  await runAndDie("tx-journalled");
  const queue = await rig.queue();
  await Promise.all((await queue.list()).map(({ intent: { id } }) => untilState(queue, id, "mined")));
  expect(await sinkBalance(rig)).toBe(BigInt((await queue.list()).length));
});

test("an outbox of another wallet is refused", async () => {
  rig = await startRig();
  const queue = await rig.queue();
  await queue.submit(intentOf("mine"));
  await expect(rig.queue({ account: walletOf("other") })).rejects.toMatchObject({ code: "CHN-3007" });
});
