import { spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import { sqliteOutbox } from "@iexec-ts/chain";
import { type Address, type Bytes32, lowerHex } from "@iexec-ts/poco";
import { acquireLock, systemClock, writeKeystore } from "@iexec-ts/service";
import { type LocalChain, startLocalChain } from "@iexec-ts/testkit";
import { keccak256, toHex } from "viem";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { rememberNetwork } from "../network-memory.ts";
import { Journal } from "../replicate/journal.ts";
import { runCli } from "./program.ts";

const BIN = fileURLToPath(new URL("../bin.ts", import.meta.url));
const RLC = 1_000_000_000n;
const LIGHT_SCRYPT = 4_096;
/** The full derivation of a wallet takes a second on a quiet machine and a minute on a crowded one. */
const KEY_DERIVATION_MS = 240_000;
const PASSWORD = "correct horse";
const DIGEST: Bytes32 = keccak256(toHex("a result"));

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** The last line of standard output, as JSON. */
  json(): Record<string, unknown>;
}

const answer = (code: number | null, out: string, err: string): Ran => ({
  code,
  out,
  err,
  json: () => z.record(z.string(), z.unknown()).parse(JSON.parse(out.trim().split("\n").at(-1) ?? "")),
});

const collect = (into: string[]) =>
  new Writable({
    write(chunk: Buffer, _, done) {
      into.push(chunk.toString());
      done();
    },
  });

/** One command in this process, without a terminal. */
async function run(args: readonly string[], env: Readonly<Record<string, string>> = {}, input = ""): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const code = await runCli(args, {
    env: { XDG_CONFIG_HOME: folder, ...env },
    streams: { stdin: Readable.from(input === "" ? [] : [input]), stdout: collect(out), stderr: collect(err) },
    clock: systemClock,
    signal: new AbortController().signal,
  });
  return answer(code, out.join(""), err.join(""));
}

/** One command as an operator's script runs it. */
function spawned(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BIN, ...args], {
      env: { PATH: process.env.PATH ?? "", XDG_CONFIG_HOME: folder, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const out: string[] = [];
    const err: string[] = [];
    child.stdout.pipe(collect(out));
    child.stderr.pipe(collect(err));
    child.on("error", reject);
    child.on("close", (code) => resolve(answer(code, out.join(""), err.join(""))));
  });
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "iexec-cli-"));
  await writeFile(join(folder, "password"), `${PASSWORD}\n`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("without a network", () => {
  const env = () => ({
    IEXEC_WORKER_STATE_DIR: join(folder, "empty"),
    IEXEC_WORKER_BASE_DIR: join(folder, "base"),
    IEXEC_CORE_URL: "http://127.0.0.1:9",
    IEXEC_WORKER_PORT: "0",
  });

  test("a typo is guessed and not run", async () => {
    const ran = await run(["wallet", "creat"], env());
    expect(ran.code).toBe(2);
    expect(ran.err).toContain("create");
  });

  test("an unknown flag is a usage error, in JSON as well", async () => {
    const ran = await run(["status", "--jsn"], env());
    expect(ran.code).toBe(2);
    expect((await run(["status", "--nothing", "--json"], env())).json()).toMatchObject({ ok: false, schema: 1 });
  });

  test("nothing is asked without a terminal", async () => {
    const ran = await run(["wallet", "create", "--wallet-path", join(folder, "asked.json"), "--json"], env());
    expect(ran.code).toBe(2);
    expect(ran.json()).toMatchObject({ ok: false, error: { code: "WRK-2002" } });
  });

  test("a secret as a plain flag is no flag", async () => {
    expect((await run(["wallet", "create", "--wallet-password", "x"], env())).code).toBe(2);
  });

  test(
    "imports a key from standard input, never shows it, and proves a backup",
    async () => {
      const key = `0x${"0a".repeat(32)}`;
      const path = join(folder, "imported.json");
      const flags = ["--wallet-path", path, "--password-file", join(folder, "password")];
      const imported = await run(["wallet", "import", ...flags, "--json"], env(), key);
      expect(imported.code).toBe(0);
      expect(imported.out + imported.err).not.toContain("0a0a0a");
      expect((await stat(path)).mode & 0o777).toBe(0o600);
      const shown = await run(["wallet", "show", "--wallet-path", path, "--json"], env());
      expect(shown.json()).toMatchObject({ ok: true, address: imported.json().address, mode: "0600" });
      expect((await run(["wallet", "check-backup", path, ...flags, "--json"], env())).json()).toMatchObject({
        error: { code: "WRK-2015" },
      });
      const copy = join(folder, "copy.json");
      await copyFile(path, copy);
      const checked = await run(["wallet", "check-backup", copy, ...flags, "--json"], env());
      expect(checked.json()).toMatchObject({ ok: true, matches: true });
      expect((await run(["wallet", "import", ...flags, "--json"], env(), key)).code).toBe(3);
    },
    KEY_DERIVATION_MS,
  );

  test("status and why-idle work on a machine that has nothing", async () => {
    const bare = await spawned(["--json"], env());
    expect(bare.code).toBe(0);
    expect(bare.json()).toMatchObject({ running: false, tasks: [] });
    const idle = await run(["why-idle", "--json"], env());
    expect(idle.code).toBe(3);
    expect(idle.json()).toMatchObject({
      reasons: [{ id: "no-wallet" }, { id: "not-running" }, { id: "scheduler-unreachable" }, { id: "chain-unreadable" }],
    });
  });

  test("a pipe gets no colour and no escape sequences", async () => {
    const ran = await spawned(["status"], { ...env(), FORCE_COLOR: "1" });
    expect(ran.out).not.toContain("\u001b");
  });

  test("settings are explained with their origin", async () => {
    const ran = await run(["config", "explain", "gasPriceCap", "--json"], { ...env(), IEXEC_GAS_PRICE_CAP: "7" });
    expect(ran.json()).toMatchObject({ setting: { value: "7", source: "env", from: "IEXEC_GAS_PRICE_CAP" } });
    expect((await run(["config", "explain", "gasPriceCup"], env())).code).toBe(2);
    expect((await run(["config", "validate", "--json"], env())).json()).toMatchObject({ ok: false, valid: false });
  });

  test("completion is a script that bash accepts", async () => {
    const { out } = await run(["completion", "bash"], env());
    const checked = await new Promise<number | null>((resolve) => {
      const bash = spawn("bash", ["-n"], { stdio: ["pipe", "ignore", "ignore"] });
      bash.on("close", resolve);
      bash.stdin.end(out);
    });
    expect(checked).toBe(0);
  });

  test("a bundle holds no secret", async () => {
    const path = join(folder, "bundle.tar.gz");
    const log = join(folder, "worker.log");
    await writeFile(log, '{"msg":"x","password":"hunter2"}\nGET https://me:hunter2@node.example/\n');
    const ran = await run(
      ["support", "bundle", "--output", path, "--log", log, "--wallet-password-file", join(folder, "password"), "--json"],
      env(),
    );
    expect(ran.code).toBe(0);
    const text = await new Promise<string>((resolve) => {
      const tar = spawn("tar", ["-xzOf", path]);
      let all = "";
      tar.stdout.on("data", (chunk: Buffer) => (all += chunk.toString()));
      tar.on("close", () => resolve(all));
    });
    expect(text).toContain("scheduler");
    expect(text).not.toContain("hunter2");
    expect(text).not.toContain(PASSWORD);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });
});

describe.each([
  ["token", false],
  ["native", true],
] as const)("on a chain with a %s escrow", (kind, native) => {
  let chain: LocalChain;
  let env: Readonly<Record<string, string>>;
  let stateDir: string;
  let address: Address;
  const worker = () => chain.account(7);

  beforeAll(async () => {
    chain = await startLocalChain({ native });
    stateDir = join(folder, kind);
    const walletPath = join(folder, `${kind}.json`);
    const key = worker().getHdKey().privateKey;
    if (key === null || key === undefined) throw new Error("no key");
    await writeKeystore(walletPath, toHex(key), PASSWORD, { n: LIGHT_SCRYPT });
    address = lowerHex(worker().address);
    const pool = await chain.createWorkerpool(chain.account(2), { description: "pool" });
    await mkdir(stateDir, { recursive: true });
    const journal = new Journal(join(stateDir, `${address}.sqlite`), address, () => new Date());
    sqliteOutbox(journal.db);
    const network = {
      workerpool: lowerHex(pool),
      chainId: chain.chainId,
      hub: lowerHex(chain.hub),
      nodes: [chain.rpcUrl],
      resultProxy: "http://127.0.0.1:9",
    };
    rememberNetwork(journal.db, network);
    await play(pool);
    journal.shut();
    env = {
      IEXEC_WORKER_STATE_DIR: stateDir,
      IEXEC_WORKER_BASE_DIR: join(folder, "base"),
      IEXEC_WORKER_WALLET_PATH: walletPath,
      IEXEC_WORKER_WALLET_PASSWORD_FILE: join(folder, "password"),
      IEXEC_CORE_URL: "http://127.0.0.1:9",
      IEXEC_WORKER_PORT: "0",
    };
    if (!native) await chain.giveRlc(address, 100n * RLC);

    /** Two tasks: one done to the end, one left with its stake locked. */
    async function play(workerpool: Address): Promise<void> {
      const [owner, scheduler, requester] = [chain.account(1), chain.account(2), chain.account(3)];
      const app = await chain.createApp(owner, { name: `app ${kind}`, image: "docker.io/library/alpine:3.20" });
      for (const account of [scheduler.address, requester.address, worker().address]) await chain.deposit(account, 1_000n * RLC);
      const deal = await chain.buy({
        app: { address: app, owner },
        workerpool: { address: workerpool, owner: scheduler, price: 10n * RLC },
        requester,
        volume: 2n,
      });
      for (const [offset, finish] of [
        [0n, true],
        [1n, false],
      ] as const) {
        const taskId = await chain.initializeTask(scheduler, deal.dealId, deal.botFirst + offset);
        const authorization = await chain.authorize(scheduler, {
          dealId: deal.dealId,
          index: deal.botFirst + offset,
          worker: worker().address,
        });
        journal.open({
          authorization: { ...authorization, workerWallet: address },
          smsUrl: undefined,
          stake: 3n * RLC,
          finalDeadline: (await chain.now()) + 1_000n,
        });
        journal.registerContribution({
          taskId,
          worker: address,
          digest: DIGEST,
          resultHash: DIGEST,
          resultSeal: DIGEST,
          callbackData: undefined,
        });
        await chain.contribute(worker(), authorization, DIGEST);
        if (!finish) continue;
        await chain.reveal(worker(), taskId, DIGEST);
        await chain.finalize(scheduler, taskId);
        journal.close(taskId);
      }
    }
  });
  afterAll(() => chain.stop());

  test("the balance names what locks the stake", async () => {
    const ran = await run(["wallet", "balance", "--json"], env);
    expect(ran.code, ran.err).toBe(0);
    expect(ran.json()).toMatchObject({
      wallet: address,
      lockedNano: `${3n * RLC}`,
      locks: [{ amountNano: `${3n * RLC}` }],
      lockedElsewhereNano: "0",
    });
  });

  test("earnings and ledger reconcile to the nRLC", async () => {
    const earned = (await run(["earnings", "--by", "task", "--json"], env)).json();
    const reward = (10n * RLC * 99n) / 100n;
    expect(earned).toMatchObject({ ok: true, reconciled: true, total: { earnedNano: `${reward}`, seizedNano: "0", tasks: 1 } });
    const ledger = (await run(["ledger", "--json"], env)).json();
    expect(ledger).toMatchObject({ ok: true, reconciled: true, open: [{ lockedNano: `${3n * RLC}` }] });
    expect(
      z
        .array(z.object({ kind: z.string() }))
        .parse(ledger.entries)
        .map((entry) => entry.kind),
    ).toEqual(["deposit", "lock", "unlock", "reward", "lock"]);
    const { out } = await run(["earnings", "--csv"], env);
    expect(out.split("\n")[0]).toBe("day,earned_nrlc,seized_nrlc,net_nrlc,gas_wei,tasks");
  });

  test("deposit, withdraw and transfer change exactly what they say", async () => {
    const before = await chain.balancesOf([address]);
    const free = before.get(address)?.stake ?? 0n;
    const dry = await run(["wallet", "deposit", "2.5", "--dry-run", "--json"], env);
    expect(dry.json()).toMatchObject({ ok: true, dryRun: true });
    expect((await run(["wallet", "deposit", "2.5", "--json"], env)).json()).toMatchObject({ error: { code: "WRK-2002" } });
    const deposited = await run(["wallet", "deposit", "2.5", "--yes", "--json"], env);
    expect(deposited.code, deposited.err).toBe(0);
    expect(deposited.json()).toMatchObject({ after: { freeNano: `${free + (5n * RLC) / 2n}` } });
    const withdrawn = await run(["wallet", "withdraw", "1", "--yes", "--json"], env);
    expect(withdrawn.json()).toMatchObject({ after: { freeNano: `${free + (3n * RLC) / 2n}` } });
    const receiver = lowerHex(chain.account(55).address);
    const had = (await chain.balancesOf([receiver])).get(receiver);
    const sent = await run(["wallet", "transfer", "0.5 RLC", receiver, "--yes", "--json"], env);
    expect(sent.code, sent.err).toBe(0);
    const has = (await chain.balancesOf([receiver])).get(receiver);
    if (native) expect((has?.native ?? 0n) - (had?.native ?? 0n)).toBe((RLC / 2n) * RLC);
    else expect((has?.token ?? 0n) - (had?.token ?? 0n)).toBe(RLC / 2n);
    const listed = (await run(["tx", "list", "--json"], env)).json();
    expect(listed).toMatchObject({ total: 3 });
    expect((await run(["ledger", "--json"], env)).json()).toMatchObject({ ok: true, reconciled: true });
  });

  test("what is not there, and what open tasks need, does not leave", async () => {
    const much = await run(["wallet", "withdraw", "999999", "--yes", "--json"], env);
    expect(much.code).toBe(3);
    expect(much.json()).toMatchObject({ error: { code: "WRK-2007" } });
    if (!native) {
      const coins = (await chain.balancesOf([address])).get(address)?.native ?? 0n;
      const all = await run(["wallet", "transfer", `${coins - 10n ** 15n} wei`, chain.account(55).address, "--yes", "--json"], env);
      expect(all.code).toBe(5);
      expect(all.json()).toMatchObject({ error: { code: "WRK-2008" } });
    }
  });

  test("nothing is sent while a worker holds the wallet", async () => {
    const lock = acquireLock(join(stateDir, `${address}.lock`));
    try {
      const ran = await run(["wallet", "deposit", "1", "--yes", "--json"], env);
      expect(ran.code).toBe(3);
      expect(ran.json()).toMatchObject({ error: { code: "WRK-2003" } });
      expect((await run(["status", "--json"], env)).json()).toMatchObject({ running: true });
    } finally {
      lock.release();
    }
  });

  test("tasks are listed and shown by the beginning of their id", async () => {
    const listed = (await run(["task", "list", "--json"], env)).json();
    const [task] = z.array(z.object({ taskId: z.string() })).parse(listed.tasks);
    const shown = await run(["task", "show", task?.taskId.slice(0, 12) ?? "", "--json"], env);
    expect(shown.json()).toMatchObject({ ok: true, taskId: task?.taskId, history: [{ status: "CREATED" }] });
    expect((await run(["task", "show", "0xdead", "--json"], env)).code).toBe(2);
    expect((await run(["score", "--json"], env)).json()).toMatchObject({ score: "0", weight: "2", missing: "12" });
  });

  test("doctor finds the scheduler missing and nothing else on the chain's side", async () => {
    const ran = await run(["doctor", "--json"], env);
    const checks = z.array(z.object({ id: z.string(), verdict: z.string() })).parse(ran.json().checks);
    const verdict = (id: string) => checks.find((check) => check.id === id)?.verdict;
    expect(ran.code).toBe(3);
    expect(["node", "wallet-file", "wallet-password", "journal", "nodes", "hub", "clock", "stake", "gas"].map(verdict)).toEqual(
      Array(9).fill("PASS"),
    );
    expect(verdict("scheduler")).toBe("FAIL");
    expect(verdict("version")).toBe("SKIP");
  });

  test("the config file of init is one that the settings accept", async () => {
    // The scheduler is not there: init stops before it writes anything.
    const path = join(folder, `${kind}-config.json`);
    const ran = await run(["init", "--output", path, "--no-input", "--json"], env);
    expect(ran.code).not.toBe(0);
    await expect(readFile(path)).rejects.toThrow();
  });
});
