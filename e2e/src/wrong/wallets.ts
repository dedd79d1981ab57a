import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Scenario } from "../scenario.ts";
import { EXIT } from "./refusal.ts";
import type { World } from "./world.ts";

const DEADLINE_MS = 240_000;

async function fileWith(world: World, name: string, content: string): Promise<string> {
  const path = join(world.rig.network.dir, "wallets", name);
  await writeFile(path, content, { mode: 0o600 });
  return path;
}

export const walletScenarios: readonly Scenario<World>[] = [
  {
    id: "wallets",
    short: true,
    timeoutMs: DEADLINE_MS,
    async run(world) {
      const exit = EXIT.person;
      const at = (IEXEC_WORKER_WALLET_PATH: string) => ({ IEXEC_WORKER_WALLET_PATH });
      const missing = join(world.rig.network.dir, "nobody.json");
      return [
        `missing ${await world.refuses(at(missing), { exit, code: "SVC-1303", names: [missing] })}`,
        `not a keystore ${await world.refuses(at(await fileWith(world, "shopping.json", '{"milk":2}')), { exit, code: "SVC-1301" })}`,
        `placeholder ${await world.refuses(at(await fileWith(world, "new.json", "PASTE_YOUR_WALLET_HERE\n")), { exit, code: "SVC-1306" })}`,
        `wrong password ${await world.refuses({ IEXEC_WORKER_WALLET_PASSWORD: "guess" }, { exit, code: "SVC-1302" })}`,
        `bare key ${await world.refuses(at(await fileWith(world, "key.json", `0x${"5".repeat(64)}`)), { exit, code: "SVC-1305" })}`,
      ].join("; ");
    },
  },
  {
    id: "same-wallet-twice",
    timeoutMs: DEADLINE_MS,
    async run({ rig, refuses }, signal) {
      const worker = rig.worker().start();
      await rig.until("the worker's lock", () => (worker.journal() === undefined ? undefined : true), signal);
      const twin = await refuses(worker.env, { exit: EXIT.person, code: "WRK-1001", names: [worker.address] });
      const taskId = await rig.buyOne("TEXT=alone");
      await rig.untilStatus(taskId, "COMPLETED", signal, worker.address);
      await worker.stop();
      return `the second: ${twin}; the first went on and completed a task`;
    },
  },
  {
    id: "another-wallet-s-journal",
    timeoutMs: DEADLINE_MS,
    async run({ rig, refuses }, signal) {
      const first = rig.worker().start();
      const taskId = await rig.buyOne("TEXT=shared", { trust: 5n });
      await rig.untilStatus(taskId, "CONTRIBUTED", signal, first.address);
      await first.kill();
      const others = [rig.worker(), rig.worker()];
      const { IEXEC_WORKER_WALLET_PATH = "" } = others[0]?.env ?? {};
      const refusal = await refuses(
        { ...first.env, IEXEC_WORKER_WALLET_PATH },
        { exit: EXIT.person, code: "WRK-1302", names: [first.address, "IEXEC_WORKER_STATE_DIR"] },
      );
      for (const worker of [first, ...others]) worker.start();
      for (const { address } of [first, ...others]) await rig.untilStatus(taskId, "COMPLETED", signal, address);
      await Promise.all([first, ...others].map((worker) => worker.stop()));
      return `${refusal}; with its own wallet it revealed and was paid`;
    },
  },
];
