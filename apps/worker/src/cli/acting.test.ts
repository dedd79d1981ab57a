import { spawn } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { createHub, createRpcPool, createTxQueue, sqliteOutbox } from "@iexec-ts/chain";
import { type Address, type Bytes32, lowerHex, resultHashOf, resultSealOf, type TaskId } from "@iexec-ts/poco";
import { acquireLock, silentLogger, systemClock, writeKeystore } from "@iexec-ts/service";
import { type LocalChain, startLocalChain } from "@iexec-ts/testkit";
import { keccak256, toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { controlActions } from "../control/actions.ts";
import { fixedSettings } from "../control/live-settings.ts";
import { Operation } from "../control/operation.ts";
import { serveControl } from "../control/server.ts";
import { socketPath } from "../control/wire.ts";
import { rememberNetwork } from "../network-memory.ts";
import { Journal } from "../replicate/journal.ts";
import { runCli } from "./program.ts";
import { loadOperatorConfig } from "./settings.ts";

const RLC = 1_000_000_000n;
const PASSWORD = "correct horse";
const DIGEST: Bytes32 = keccak256(toHex("a result"));
const LONG_MS = 120_000;

const collect = (into: string[]) =>
  new Writable({
    write(chunk: Buffer, _, done) {
      into.push(chunk.toString());
      done();
    },
  });

let folder: string;
let chain: LocalChain;
let key: `0x${string}`;
let address: Address;
let stateDir: string;
let env: Readonly<Record<string, string>>;
/** Revealing on chain with our contribution (two of them); not contributed; contributed in the journal alone. */
let tasks: Readonly<Record<"revealing" | "fresh" | "promised" | "other", TaskId>>;

async function run(
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<{ code: number; json: Record<string, unknown> }> {
  const out: string[] = [];
  const code = await runCli([...args, "--json"], {
    env: { XDG_CONFIG_HOME: folder, ...env, ...more },
    streams: { stdin: Readable.from([]), stdout: collect(out), stderr: collect([]) },
    clock: systemClock,
    signal: new AbortController().signal,
  });
  return { code, json: z.record(z.string(), z.unknown()).parse(JSON.parse(out.join("").trim().split("\n").at(-1) ?? "")) };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "iexec-acting-"));
  chain = await startLocalChain({});
  const [owner, scheduler, requester, worker] = [chain.account(1), chain.account(2), chain.account(3), chain.account(7)];
  const privateKey = worker.getHdKey().privateKey;
  if (privateKey === null || privateKey === undefined) throw new Error("no key");
  key = toHex(privateKey);
  address = lowerHex(worker.address);
  stateDir = join(folder, "state");
  await mkdir(stateDir, { recursive: true });
  await writeFile(join(folder, "password"), PASSWORD);
  await writeKeystore(join(folder, "wallet.json"), key, PASSWORD, { n: 4_096 });
  env = {
    IEXEC_WORKER_STATE_DIR: stateDir,
    IEXEC_WORKER_BASE_DIR: join(folder, "base"),
    IEXEC_WORKER_WALLET_PATH: join(folder, "wallet.json"),
    IEXEC_WORKER_WALLET_PASSWORD_FILE: join(folder, "password"),
    IEXEC_CORE_URL: "http://127.0.0.1:9",
    IEXEC_WORKER_PORT: "0",
  };
  const workerpool = await chain.createWorkerpool(scheduler, { description: "pool" });
  const app = await chain.createApp(owner, { name: "app", image: "docker.io/library/alpine:3.20" });
  for (const account of [scheduler.address, requester.address, worker.address]) await chain.deposit(account, 1_000n * RLC);
  const deal = await chain.buy({
    app: { address: app, owner },
    workerpool: { address: workerpool, owner: scheduler, price: 10n * RLC },
    requester,
    volume: 4n,
  });
  const journal = openJournal();
  rememberNetwork(journal.db, {
    workerpool: lowerHex(workerpool),
    chainId: chain.chainId,
    hub: lowerHex(chain.hub),
    nodes: [chain.rpcUrl],
    resultProxy: "http://127.0.0.1:9",
  });
  sqliteOutbox(journal.db);
  const ids: TaskId[] = [];
  for (const offset of [0n, 1n, 2n, 3n]) {
    const taskId = await chain.initializeTask(scheduler, deal.dealId, deal.botFirst + offset);
    ids.push(taskId);
    const authorization = await chain.authorize(scheduler, { dealId: deal.dealId, index: deal.botFirst + offset, worker: worker.address });
    journal.open({
      authorization: { ...authorization, workerWallet: address },
      smsUrl: undefined,
      stake: 3n * RLC,
      finalDeadline: (await chain.now()) + 1_000n,
    });
    if (offset === 1n) continue;
    journal.registerContribution({
      taskId,
      worker: address,
      digest: DIGEST,
      resultHash: resultHashOf(taskId, DIGEST),
      resultSeal: resultSealOf(address, taskId, DIGEST),
      callbackData: undefined,
    });
    if (offset === 0n || offset === 3n) await chain.contribute(worker, authorization, DIGEST);
  }
  journal.shut();
  const [revealing, fresh, promised, other] = ids;
  if (revealing === undefined || fresh === undefined || promised === undefined || other === undefined) throw new Error("no tasks");
  tasks = { revealing, fresh, promised, other };
}, LONG_MS);
afterAll(async () => {
  await chain.stop();
  await rm(folder, { recursive: true, force: true });
});

const openJournal = () => new Journal(join(stateDir, `${address}.sqlite`), address, () => new Date());

describe("while no worker runs", () => {
  test("pause and resume act on the journal, and status and why-idle say so", async () => {
    expect(await run(["pause", "--for", "2h"])).toMatchObject({ code: 0, json: { ok: true, state: "STOPPED", before: "STOPPED" } });
    const status = await run(["status"]);
    expect(status.json).toMatchObject({ state: "STOPPED", pausedUntil: expect.stringMatching(/Z$/) });
    const idle = await run(["why-idle"]);
    expect(
      z
        .array(z.object({ id: z.string() }))
        .parse(idle.json.reasons)
        .map(({ id }) => id),
    ).toEqual(expect.arrayContaining(["paused", "not-running"]));
    expect(await run(["resume"])).toMatchObject({ code: 0, json: { before: "PAUSED" } });
    expect(await run(["resume"])).toMatchObject({ code: 0, json: { before: "STOPPED" } });
  });

  test("what needs a running worker says so with a code", async () => {
    expect(await run(["stop", "--drain"])).toMatchObject({ code: 3, json: { error: { code: "WRK-1512" } } });
    expect(await run(["config", "reload"])).toMatchObject({ code: 3, json: { error: { code: "WRK-1512" } } });
    expect((await run(["pause", "--for", "90"])).code).toBe(2);
    expect((await run(["stop", "--timeout", "3m"])).code).toBe(2);
  });

  test("a worker that holds the lock and has no socket is told apart", async () => {
    const lock = acquireLock(join(stateDir, `${address}.lock`));
    try {
      expect(await run(["pause"])).toMatchObject({ code: 4, json: { error: { code: "WRK-1513" } } });
      expect(await run(["stop"])).toMatchObject({ code: 4, json: { error: { code: "WRK-1513" } } });
    } finally {
      lock.release();
    }
  });

  test("policy is shown, set, preset, and refused where the environment wins", async () => {
    expect((await run(["policy", "show"])).json).toMatchObject({ preset: "always" });
    expect((await run(["policy", "set", "minPrice", "0.5 RLC"])).json).toMatchObject({
      changes: [{ key: "minPrice", from: "0", to: "500000000" }],
    });
    expect((await run(["policy", "preset", "nights"])).code).toBe(0);
    expect((await run(["policy", "show"])).json).toMatchObject({ preset: "nights" });
    expect((await run(["config", "explain", "minPrice"])).json).toMatchObject({ setting: { value: "500000000", source: "file" } });
    expect(await run(["policy", "set", "maxLoad", "5"], { IEXEC_WORKER_MAX_LOAD: "50" })).toMatchObject({
      code: 3,
      json: { error: { code: "WRK-1540" } },
    });
    expect((await run(["policy", "set", "hours", "sometimes"])).code).toBe(2);
    expect((await run(["policy", "preset", "sometimes"])).code).toBe(2);
    expect((await run(["policy", "set", "minPrice", "default"])).code).toBe(0);
    expect((await run(["policy", "preset", "always"])).code).toBe(0);
    expect((await run(["policy", "show"])).json).toMatchObject({ preset: "always" });
  });

  test("the preview counts last week's tasks", async () => {
    expect((await run(["policy", "preview"])).json).toMatchObject({ tasks: 4, taken: 4 });
    expect((await run(["policy", "preview", "--min-price", `${11n * RLC}`])).json).toMatchObject({ tasks: 4, taken: 0 });
    expect((await run(["policy", "preview", "--preset", "off"])).json).toMatchObject({ tasks: 4, taken: 0 });
  });

  test("a task is given up on disk; one with a contribution only by force", async () => {
    expect((await run(["task", "abort", tasks.fresh])).json).toMatchObject({ error: { code: "WRK-2002" } });
    expect(await run(["task", "abort", tasks.fresh, "--yes"])).toMatchObject({ code: 0, json: { loss: null, running: false } });
    expect(await run(["task", "abort", tasks.promised, "--yes"])).toMatchObject({ code: 5, json: { error: { code: "WRK-1521" } } });
    expect((await run(["task", "abort", tasks.promised, "--yes", "--force"])).json).toMatchObject({
      loss: expect.stringContaining("3.0 RLC"),
    });
    const journal = openJournal();
    expect([journal.get(tasks.fresh).abort, journal.get(tasks.promised).abort]).toEqual(["OPERATOR", "OPERATOR_FORCED"]);
    journal.shut();
    expect((await run(["task", "retry-upload", tasks.fresh])).json).toMatchObject({ error: { code: "WRK-1522" } });
  });
});

describe("with the line of a running worker", () => {
  test(
    "tx bump offers more, tx cancel takes back, and a reveal that is due is kept",
    async () => {
      const lock = acquireLock(join(stateDir, `${address}.lock`));
      const journal = openJournal();
      const pool = await createRpcPool(
        { urls: [chain.rpcUrl], chainId: chain.chainId, expectedHub: lowerHex(chain.hub) },
        { clock: systemClock },
      );
      const hub = await createHub(pool, lowerHex(chain.hub));
      const queue = await createTxQueue(
        { pool, account: privateKeyToAccount(key), store: sqliteOutbox(journal.db), gas: { multiplier: 1.3, cap: 22_000_000_000n } },
        { clock: systemClock },
      );
      const operation = new Operation(journal.db, systemClock);
      const { values } = loadOperatorConfig([], { XDG_CONFIG_HOME: folder, ...env });
      if (values.walletPassword === undefined) throw new Error("no password");
      const server = await serveControl(
        socketPath(stateDir, address),
        controlActions({
          worker: address,
          journal,
          operation,
          live: fixedSettings({ ...values, walletPassword: values.walletPassword }),
          clock: systemClock,
          log: silentLogger,
          stop: () => undefined,
          refusal: () => undefined,
          standing: () => ({ stalls: [], stuck: [] }),
          joined: true,
          work: { engine: { notify: () => undefined, onClosed: () => () => undefined }, ports: { queue, hub, worker: address } },
        }),
        silentLogger,
      );
      try {
        await rpc("evm_setAutomine", false);
        const sent = Promise.allSettled([
          queue.submit({ id: "wallet:test", to: address, data: "0x", gasFloor: 21_000n }),
          queue.submit({ id: `reveal:${tasks.other}`, to: address, data: "0x", gasFloor: 21_000n }),
        ]);
        await until(async () => (await queue.list()).filter(({ state }) => state === "sent").length === 2);
        const bumped = await run(["tx", "bump", "wallet:test", "--yes"]);
        expect(bumped).toMatchObject({ code: 0, json: { attempts: 2 } });
        expect(BigInt(String(bumped.json.maxFeePerGas))).toBeGreaterThan(BigInt(String(bumped.json.was)));
        expect((await run(["tx", "cancel", "wallet:test"])).json).toMatchObject({ error: { code: "WRK-2002" } });
        expect(await run(["tx", "cancel", "wallet:test", "--yes"])).toMatchObject({ code: 0, json: { attempts: 3, loss: null } });
        const reveal = `reveal:${tasks.other}`;
        expect(await run(["tx", "cancel", reveal, "--yes"])).toMatchObject({ code: 5, json: { error: { code: "WRK-1520" } } });
        expect((await run(["tx", "cancel", reveal, "--yes", "--force"])).json).toMatchObject({ loss: expect.stringContaining("3.0 RLC") });
        expect((await run(["tx", "bump", "nothing", "--yes"])).code).toBe(2);
        await rpc("evm_setAutomine", true);
        await rpc("evm_mine");
        const outcomes = await sent;
        expect(outcomes.map((outcome) => (outcome.status === "fulfilled" ? outcome.value.kind : outcome.reason))).toEqual([
          "expired",
          "expired",
        ]);
        expect((await run(["tx", "bump", "wallet:test", "--yes"])).json).toMatchObject({ error: { code: "CHN-3002" } });
        expect((await run(["status"])).json).toMatchObject({ running: true, state: "RUNNING" });
      } finally {
        await rpc("evm_setAutomine", true);
        await server.close();
        operation.close();
        await queue.close();
        await pool.close();
        journal.shut();
        lock.release();
      }
    },
    LONG_MS,
  );
});

test(
  "the emergency reveal needs the journal and one node, and sends once",
  async () => {
    const first = await run(["task", "reveal", tasks.revealing]);
    expect(first, JSON.stringify(first.json)).toMatchObject({
      code: 0,
      json: { running: false, transaction: expect.stringMatching(/^0x/) },
    });
    expect((await run(["task", "reveal", tasks.revealing])).json).toMatchObject({ ok: true, transaction: null });
    expect((await run(["task", "reveal", tasks.fresh])).json).toMatchObject({ error: { code: "WRK-1304" } });
    expect((await run(["task", "reveal", tasks.promised])).json).toMatchObject({ error: { code: "WRK-1522" } });
  },
  LONG_MS,
);

const BIN = fileURLToPath(new URL("../bin.ts", import.meta.url));

/** As an operator's shell runs it. */
const shell = (args: readonly string[]): Promise<{ code: number | null; json: Record<string, unknown> }> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BIN, ...args, "--json"], {
      env: { PATH: process.env.PATH ?? "", XDG_CONFIG_HOME: folder, ...env },
      stdio: ["ignore", "pipe", "ignore"],
    });
    let out = "";
    child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, json: z.record(z.string(), z.unknown()).parse(JSON.parse(out.trim())) }));
  });

test(
  "a worker in the background can be reached when the command returns, is started once, and ends when it is told to",
  async () => {
    expect(await shell(["start", "--detach"])).toMatchObject({ code: 0, json: { ok: true, pid: expect.any(Number) } });
    expect(await shell(["start", "--detach"])).toMatchObject({ code: 3, json: { ok: false, error: { code: "WRK-1001" } } });
    expect(await run(["pause"])).toMatchObject({ code: 0, json: { state: "PAUSED", before: "RUNNING" } });
    expect((await run(["status"])).json).toMatchObject({ running: true, state: "PAUSED" });
    expect(await run(["stop"])).toMatchObject({ code: 0, json: { state: "STOPPED", stopped: true } });
    expect((await run(["status"])).json).toMatchObject({ running: false, state: "STOPPED" });
  },
  LONG_MS,
);

async function rpc(method: string, ...params: readonly unknown[]): Promise<void> {
  await fetch(chain.rpcUrl, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
  });
}

async function until(look: () => Promise<boolean>): Promise<void> {
  while (!(await look())) await new Promise((resolve) => setTimeout(resolve, 50));
}
