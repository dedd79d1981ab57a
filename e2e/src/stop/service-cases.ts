import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { encryptKeystore, freePort } from "@iexec-ts/service";
import { startPostgres } from "@iexec-ts/testkit";
import Docker from "dockerode";
import { bytesToHex } from "viem";
import { type Command, processesOf, withCommand } from "../demo/command.ts";
import { type Rig, startRig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { Scenario } from "../scenario.ts";
import { programOf } from "../wrong/refusal.ts";
import type { Draw } from "./draw.ts";

const GRACE_MS = 5_000;
/** Beyond its grace, for the process to end and to be seen to have ended. */
const SLACK_MS = 2_000;
const PASSWORD = "to be stopped";
const LIGHT_SCRYPT = 4_096;
const SCHEDULER_ACCOUNT = 3;

/** From its start to the middle of a task, in milliseconds. */
const WORKER_MOMENTS_MS = 9_000;
const SERVICE_MOMENTS_MS = 5_000;

const seconds = (ms: number): string => (ms / 1_000).toFixed(1);

interface Stopped {
  readonly code: number | null;
  readonly ms: number;
}

/** Errors: when it took longer than it promises, or ended with an error. A signal may end it before it listens to signals. */
function requireInTime(who: string, afterMs: number, { code, ms }: Stopped, early: boolean): void {
  if (ms > GRACE_MS + SLACK_MS)
    throw new Error(`${who}, told after ${afterMs} ms, took ${Math.round(ms)} ms to end with ${GRACE_MS} ms of grace`);
  if (code !== 0 && !(early && code === null)) throw new Error(`${who}, told after ${afterMs} ms, ended with ${code}`);
}

async function stopWorker(worker: WorkerProcess): Promise<Stopped> {
  const { pid } = worker;
  if (pid === undefined) throw new Error("the worker was not started");
  const from = performance.now();
  if (worker.running) process.kill(pid, "SIGTERM");
  const code = await worker.exited;
  return { code, ms: performance.now() - from };
}

/** Until it has logged something, a program may not listen to signals yet. */
const lines = async (path: string): Promise<number> => (await readFile(path, "utf8").catch(() => "")).split("\n").length;

/** SIGTERM at moments drawn by the seed, under load; in the end every task is completed and nothing was sent twice. */
async function stopWorkers(draw: Draw, moments: number, signal: AbortSignal): Promise<string> {
  const rig = await startRig({ wallets: 1 }, signal);
  const docker = new Docker();
  const worker = rig.worker({ IEXEC_WORKER_GRACE_PERIOD: `${GRACE_MS}ms` });
  try {
    // The first start creates what later ones go on with.
    worker.start();
    const tasks = [await rig.buyOne("TEXT=first SLEEP=1")];
    let slowest = 0;
    for (let n = 0; n < moments; n += 1) {
      const afterMs = draw.below(WORKER_MOMENTS_MS);
      const before = await lines(worker.logPath);
      await delay(afterMs, undefined, { signal });
      const stopped = await stopWorker(worker);
      requireInTime("the worker", afterMs, stopped, (await lines(worker.logPath)) === before);
      slowest = Math.max(slowest, stopped.ms);
      const left = await docker.listContainers({ all: true, filters: { label: [`iexec.worker=${worker.address}`] } });
      const astray = left.filter(({ Labels }) => Labels["iexec.stage"] !== "app");
      if (astray.length > 0) throw new Error(`told after ${afterMs} ms it left ${astray.map(({ Names }) => Names.join()).join(", ")}`);
      tasks.push(await rig.buyOne(`TEXT=${n} SLEEP=${1 + draw.below(3)}`));
      worker.start();
    }
    for (const taskId of tasks) await rig.untilStatus(taskId, "COMPLETED", signal, worker.address);
    const count = await rig.chain.client.getTransactionCount({ address: worker.address });
    if (count !== 2 * tasks.length)
      throw new Error(`${count} transactions for ${tasks.length} tasks, not one contribution and one reveal each`);
    const { locked } = await rig.network.hub.account(worker.address);
    if (locked !== 0n) throw new Error(`${locked} nRLC are still locked`);
    return `SEED=${draw.seed}: ended ${moments} times, the slowest in ${seconds(slowest)} s; ${tasks.length} tasks completed, nothing sent twice`;
  } finally {
    await worker.stop();
    await rig.close();
  }
}

/** What hangs when a worker is told to end, and whose name its log must hold. */
const WORKER_HANGS = {
  "stop:worker": "worker",
  "stop:page": "page",
  "close:replicates": "replicates",
  "close:workerpool": "workerpool",
  start: "the start",
};

async function hangWorker(signal: AbortSignal): Promise<string> {
  const rig = await startRig({ wallets: 1 }, signal);
  const worker = rig.worker({ IEXEC_WORKER_GRACE_PERIOD: `${GRACE_MS}ms` });
  const seen: string[] = [];
  try {
    for (const [hang, name] of Object.entries(WORKER_HANGS)) {
      const old = await lines(worker.logPath);
      worker.start({ IEXEC_TEST_HANG_AT: hang });
      const taskId = await rig.buyOne("TEXT=hung SLEEP=2");
      if (hang === "start")
        await rig.until("its first words", async () => ((await lines(worker.logPath)) > old ? true : undefined), signal);
      else await rig.untilStatus(taskId, "COMPUTING", signal);
      const before = (await readFile(worker.logPath, "utf8")).length;
      const stopped = await stopWorker(worker);
      requireInTime(`the worker that hangs at ${hang}`, 0, stopped, false);
      const said = (await readFile(worker.logPath, "utf8")).slice(before);
      if (!said.includes("SVC-1601") || !said.includes(name)) throw new Error(`hung at ${hang}, it named nothing: ${said.slice(-400)}`);
      seen.push(`${hang} ${seconds(stopped.ms)} s`);
      worker.start();
      await rig.untilStatus(taskId, "COMPLETED", signal, worker.address);
      await worker.stop();
    }
    return `cut off and named: ${seen.join(", ")}`;
  } finally {
    await worker.stop();
    await rig.close();
  }
}

type Service = "scheduler" | "result-proxy";

/** Settings of a service of its own on the rig's chain. */
async function serviceEnv(which: Service, rig: Rig, tmp: string, port: number): Promise<Readonly<Record<string, string>>> {
  const common = { IEXEC_HUB_ADDRESS: rig.chain.hub, IEXEC_BLOCKCHAIN_NODE_ADDRESS: rig.chain.rpcUrl };
  if (which === "result-proxy")
    return {
      ...common,
      IEXEC_RESULT_PROXY_HOST: "127.0.0.1",
      IEXEC_RESULT_PROXY_PORT: String(port),
      IEXEC_IPFS_GATEWAY_PORT: "0",
      IEXEC_RESULT_PROXY_DATA_DIR: join(tmp, "data"),
      IEXEC_SHUTDOWN_GRACE: String(GRACE_MS),
    };
  const { privateKey } = rig.chain.account(SCHEDULER_ACCOUNT).getHdKey();
  if (privateKey === null || privateKey === undefined) throw new Error("the scheduler's account has no key");
  const walletPath = join(rig.network.dir, "wallets", "stopped-scheduler.json");
  await writeFile(walletPath, await encryptKeystore(bytesToHex(privateKey), PASSWORD, { n: LIGHT_SCRYPT }));
  return {
    ...common,
    IEXEC_CORE_HOST: "127.0.0.1",
    IEXEC_CORE_PORT: String(port),
    IEXEC_CORE_WALLET_PATH: walletPath,
    IEXEC_CORE_WALLET_PASSWORD: PASSWORD,
    IEXEC_CORE_DATA_DIR: join(tmp, "data"),
    IEXEC_CORE_GRACE: String(GRACE_MS),
    POOL_ADDRESS: rig.network.prepared.workerpool.address,
    IEXEC_RESULT_REPOSITORY_URL: rig.network.resultProxyUrl,
  };
}

/** Asks the service again and again until it is told to stop: it is under load. */
function hammer(port: number): { answers(): number; stop(): Promise<void> } {
  let answers = 0;
  let going = true;
  const lane = async (): Promise<void> => {
    while (going) {
      const answered = await fetch(`http://127.0.0.1:${port}/health`, { signal: AbortSignal.timeout(2_000) }).then(
        (response) => response.text().then(() => true),
        () => false,
      );
      if (answered) answers += 1;
      else await delay(50);
    }
  };
  const lanes = Promise.all([lane(), lane(), lane()]);
  return {
    answers: () => answers,
    async stop() {
      going = false;
      await lanes;
    },
  };
}

async function stopCommand(command: Command): Promise<Stopped> {
  const from = performance.now();
  command.signal("SIGTERM", "one");
  const { code } = await command.end(GRACE_MS + 30_000);
  return { code, ms: performance.now() - from };
}

/** SIGTERM at moments drawn by the seed and with planted hangs; each time it ends in time and what it started with it, and it starts again. */
async function stopService(which: Service, draw: Draw, moments: number, signal: AbortSignal): Promise<string> {
  const rig = await startRig({ wallets: 0 }, signal);
  const postgres = await startPostgres({}, signal);
  const database = which === "result-proxy" ? { DATABASE_URL: (await postgres.createDatabase()).url } : {};
  const port = await freePort();
  const data = await mkdtemp(join(tmpdir(), "iexec-stopped-"));
  const own = which === "scheduler" ? "scheduler" : "result proxy";
  const plan = [...Array.from({ length: moments }, () => undefined), `stop:${own}`, "start"];
  let [slowest, answers] = [0, 0];
  try {
    // Postgres drops root's rights and must still get at its folder.
    await chmod(data, 0o755);
    const env = { ...(await serviceEnv(which, rig, data, port)), ...database };
    for (const hang of plan) {
      const afterMs = hang === undefined ? draw.below(SERVICE_MOMENTS_MS) : SERVICE_MOMENTS_MS;
      const planted = hang === undefined ? {} : { IEXEC_TEST_HANG_AT: hang };
      await withCommand(
        () => [process.execPath, programOf(which)],
        { env: { ...env, ...planted } },
        async (command) => {
          const load = hammer(port);
          await delay(afterMs, undefined, { signal });
          const early = command.stderr === "";
          const stopped = await stopCommand(command).finally(() => load.stop());
          answers += load.answers();
          try {
            requireInTime(`the ${own}${hang === undefined ? "" : `, hanging at ${hang},`}`, afterMs, stopped, early);
          } catch (thrown) {
            throw new Error(`${thrown instanceof Error ? thrown.message : String(thrown)}; its last words: ${command.stderr.slice(-300)}`);
          }
          slowest = Math.max(slowest, stopped.ms);
          if (hang !== undefined && !command.stderr.includes("SVC-1601")) throw new Error(`hung at ${hang}, it named nothing`);
          // A step that never began to end cannot have ended what is below it; the next start takes it over.
          const left = hang === undefined ? [...(await processesOf(command.tmp)), ...(await processesOf(data))] : [];
          if (left.length > 0) throw new Error(`told after ${afterMs} ms it left ${left.join("; ")}`);
        },
      );
    }
    if (answers === 0) throw new Error("it never answered: nothing was tried under load");
    return `SEED=${draw.seed}: ended ${plan.length} times, the slowest in ${seconds(slowest)} s; ${answers} answers before`;
  } finally {
    await postgres.stop();
    await rig.close();
    await rm(data, { recursive: true, force: true });
  }
}

const MOMENTS = 20;
const FEW = 3;
const LONG_MS = 900_000;

/** SIGTERM at any moment of any service ends it within its grace, ends what it started, and loses nothing. */
export const SERVICE_CASES: readonly Scenario<Draw>[] = [
  { id: "sigterm-worker-few", short: true, timeoutMs: LONG_MS, run: (draw, signal) => stopWorkers(draw, FEW, signal) },
  { id: "sigterm-worker", timeoutMs: LONG_MS, run: (draw, signal) => stopWorkers(draw, MOMENTS, signal) },
  { id: "hung-worker", timeoutMs: LONG_MS, run: (_, signal) => hangWorker(signal) },
  { id: "sigterm-scheduler", timeoutMs: LONG_MS, run: (draw, signal) => stopService("scheduler", draw, MOMENTS, signal) },
  { id: "sigterm-result-proxy", timeoutMs: LONG_MS, run: (draw, signal) => stopService("result-proxy", draw, MOMENTS, signal) },
];
