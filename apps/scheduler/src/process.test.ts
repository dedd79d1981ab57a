import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, writeKeystore } from "@iexec-ts/service";
import { type LocalChain, startLocalChain } from "@iexec-ts/testkit";
import { toHex } from "viem";
import { afterAll, beforeAll, expect, test } from "vitest";

const BIN = fileURLToPath(new URL("./bin.ts", import.meta.url));
const PASSWORD = "correct horse";
let chain: LocalChain;
let directory: string;
const children = new Set<ChildProcess>();
beforeAll(async () => {
  chain = await startLocalChain();
  directory = await mkdtemp(join(tmpdir(), "iexec-scheduler-"));
  // Where tests run as root, Postgres runs as its own user and must get through.
  await chmod(directory, 0o711);
});
afterAll(async () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  const database = await databasePid();
  if (database !== undefined) process.kill(database, "SIGINT");
  await chain.stop();
  await rm(directory, { recursive: true, force: true });
});

/** The embedded server's process, which outlives a killed scheduler. */
async function databasePid(): Promise<number | undefined> {
  const text = await readFile(join(directory, "data", "data", "postmaster.pid"), "utf8").catch(() => "");
  const pid = Number.parseInt(text, 10);
  return Number.isSafeInteger(pid) ? pid : undefined;
}

const exitOf = async (child: ChildProcess): Promise<unknown> => {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode ?? child.signalCode;
};

test("the program survives a SIGKILL on its own database, lets no second one in, and stops in order", async () => {
  const owner = chain.account(1);
  const workerpool = await chain.createWorkerpool(owner, { description: "a process of its own" });
  const wallet = join(directory, "wallet.json");
  await writeKeystore(wallet, toHex(owner.getHdKey().privateKey ?? new Uint8Array(32)), PASSWORD, { n: 1_024 });
  const port = await freePort();
  const env = {
    PATH: process.env.PATH,
    POOL_ADDRESS: workerpool,
    IEXEC_HUB_ADDRESS: chain.hub,
    IEXEC_CORE_WALLET_PATH: wallet,
    IEXEC_CORE_WALLET_PASSWORD: PASSWORD,
    IEXEC_BLOCKCHAIN_NODE_ADDRESS: chain.rpcUrl,
    IEXEC_CORE_DATA_DIR: join(directory, "data"),
    IEXEC_CORE_PORT: String(port),
  };
  let said = "";
  const launch = (): ChildProcess => {
    const child = spawn(process.execPath, [BIN], { env, stdio: ["ignore", "ignore", "pipe"] });
    child.stderr?.on("data", (chunk) => {
      said += String(chunk);
    });
    children.add(child);
    return child;
  };
  const up = async (child: ChildProcess): Promise<number> => {
    while (child.exitCode === null) {
      const answer = await fetch(`http://127.0.0.1:${port}/v1/pool`).catch(() => undefined);
      if (answer !== undefined) return answer.status;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return 0;
  };

  const first = launch();
  expect(await up(first), said).toBe(200);
  first.kill("SIGKILL");
  await exitOf(first);
  const second = launch();
  expect(await up(second), said).toBe(200);
  const third = launch();
  expect(await exitOf(third)).not.toBe(0);
  expect(said).toContain("SVC-1401");
  const database = await databasePid();
  second.kill("SIGTERM");
  expect(await exitOf(second)).toBe(0);
  expect(() => process.kill(database ?? 0, 0)).toThrow();
  expect(said).not.toContain(PASSWORD);
}, 180_000);
