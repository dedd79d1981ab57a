import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, writeKeystore } from "@iexec-ts/service";
import { type LocalChain, type PostgresServer, startLocalChain, startPostgres } from "@iexec-ts/testkit";
import { toHex } from "viem";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";

const BIN = fileURLToPath(new URL("./bin.ts", import.meta.url));
const PASSWORD = "correct horse";
let chain: LocalChain;
let postgres: PostgresServer;
let directory: string;
const children = new Set<ChildProcess>();
beforeAll(async () => {
  [chain, postgres] = await Promise.all([startLocalChain(), startPostgres()]);
  directory = await mkdtemp(join(tmpdir(), "iexec-scheduler-"));
  // Where tests run as root, Postgres runs as its own user and must get through.
  await chmod(directory, 0o711);
});
afterAll(async () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
  const database = await databasePid();
  if (database !== undefined) process.kill(database, "SIGINT");
  await Promise.all([chain.stop(), postgres.stop()]);
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

const STALLS = z.object({ stalls: z.array(z.object({ loop: z.string(), mendedAt: z.string().optional() })) });

test("a process whose loops hang tells each, mends them by itself, and stops in order although its decisions go on hanging", async () => {
  const owner = chain.account(2);
  const workerpool = await chain.createWorkerpool(owner, { description: "a process with hanging loops" });
  const wallet = join(directory, "hanging.json");
  await writeKeystore(wallet, toHex(owner.getHdKey().privateKey ?? new Uint8Array(32)), PASSWORD, { n: 1_024 });
  const { url: databaseUrl, drop } = await postgres.createDatabase();
  const port = await freePort();
  const app = await chain.createApp(chain.account(3), { name: "any", image: "example/app:1" });
  await chain.deposit(owner.address, 1_000_000_000n);
  await chain.buy({
    app: { address: app, owner: chain.account(3), price: 0n },
    workerpool: { address: workerpool, owner, price: 0n },
    requester: chain.account(4),
    trust: 1n,
  });
  const loops = ["signals", "leadership", "dispatcher", "calls", "demand", "pings", "liveness", "sweep", "event readers"];
  const child = spawn(process.execPath, [BIN], {
    env: {
      PATH: process.env.PATH,
      POOL_ADDRESS: workerpool,
      IEXEC_HUB_ADDRESS: chain.hub,
      IEXEC_CORE_WALLET_PATH: wallet,
      IEXEC_CORE_WALLET_PASSWORD: PASSWORD,
      IEXEC_BLOCKCHAIN_NODE_ADDRESS: chain.rpcUrl,
      DATABASE_URL: databaseUrl,
      IEXEC_CORE_HOST: "127.0.0.1",
      IEXEC_CORE_PORT: String(port),
      IEXEC_TEST_HANG_AT: [...loops, "decision#1000000"].join(","),
      IEXEC_TEST_LOOP_BOUND_MS: "500",
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.add(child);
  let said = "";
  child.stderr?.on("data", (chunk) => {
    said += String(chunk);
  });
  const stalls = async (): Promise<z.output<typeof STALLS>["stalls"]> => {
    const answer = await fetch(`http://127.0.0.1:${port}/v1/pool`).catch(() => undefined);
    return answer === undefined ? [] : STALLS.parse(await answer.json()).stalls;
  };
  const stands = (all: Awaited<ReturnType<typeof stalls>>, loop: string): boolean =>
    all.some((stall) => stall.loop === loop && stall.mendedAt === undefined);
  const mended = (all: Awaited<ReturnType<typeof stalls>>): boolean =>
    loops.every((loop) => all.some((stall) => stall.loop === loop && stall.mendedAt !== undefined));
  for (let all = await stalls(); !mended(all) || !stands(all, "decision"); all = await stalls()) {
    expect(child.exitCode, said).toBe(null);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  expect(said).toContain("SVC-1501");
  child.kill("SIGTERM");
  expect(await exitOf(child), said).toBe(0);
  await drop();
}, 120_000);
