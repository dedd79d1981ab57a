/**
 * Ends everything that belongs to a run: `sweep.ts [--now] FOLDER MARK`. Without `--now` processes may end in order.
 *
 * A process belongs to a run by what it inherited of its environment and by nothing else: a terminal or an editor that somebody has in the
 * folder is theirs.
 */
import { type Dirent, readdirSync, readFileSync, rmSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isOfRun } from "../../packages/testkit/src/process/run-mark.ts";

/** A little more than the longest orderly end of what a run starts. */
const GRACE_MS = 40_000;
const LOOK_EVERY_MS = 100;
const SETTLE_MS = 2_000;
/** One that outlives so many is not ours to kill, or waits in the kernel: it is told of and left. */
const KILL_ROUNDS = 3;
const ENGINE_MS = 20_000;
const WALLET_FILE = /^(0x[0-9a-f]{40})\.(?:lock|sqlite)$/;
/** Apps write what they like below it. */
const TASK_FOLDER = /^0x[0-9a-f]{64}$/;

/** What tells a run from others. */
export interface RunSigns {
  /** Its temporary folder. */
  readonly folder: string;
  /** Its own part of IEXEC_RUN. Without it only TMPDIR tells. */
  readonly mark?: string;
}

interface Found {
  readonly pid: number;
  readonly parent: number;
  readonly line: string;
}

const textOf = (path: string): string => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // It has ended, or is somebody else's.
    return "";
  }
};

/** Processes that inherited the run's mark, or a TMPDIR that is its folder or lies in it. Without /proc there are none to be seen. */
export function processesOf(run: RunSigns): readonly Found[] {
  let pids: readonly string[];
  try {
    pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
  return pids.flatMap((pid) => {
    if (Number(pid) === process.pid || !belongs(textOf(`/proc/${pid}/environ`), run)) return [];
    const line = textOf(`/proc/${pid}/cmdline`);
    // Nothing but a zombie has no words; it waits for its parent only.
    if (line === "") return [];
    const parent = Number(/^PPid:\s*(\d+)$/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0);
    return [{ pid: Number(pid), parent, line: line.replaceAll("\0", " ").trim().slice(0, 160) }];
  });
}

const belongs = (environ: string, { folder, mark }: RunSigns): boolean =>
  environ
    .split("\0")
    .some((entry) => entry === `TMPDIR=${folder}` || entry.startsWith(`TMPDIR=${folder}/`) || (mark !== undefined && isOfRun(entry, mark)));

function send(found: readonly Found[], signal: NodeJS.Signals): void {
  for (const { pid } of found) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended, or is not ours to kill; the next look tells.
    }
  }
}

async function untilNone(run: RunSigns, limitMs: number): Promise<readonly Found[]> {
  const until = performance.now() + limitMs;
  for (;;) {
    const left = processesOf(run);
    if (left.length === 0 || performance.now() > until) return left;
    await delay(LOOK_EVERY_MS);
  }
}

async function endProcesses(run: RunSigns, now: boolean): Promise<readonly string[]> {
  const found = processesOf(run);
  if (found.length > 0 && !now) {
    // Each ends its own children in its own order: a network whose database went first cannot end well.
    const pids = new Set(found.map(({ pid }) => pid));
    send(
      found.filter(({ parent }) => !pids.has(parent)),
      "SIGTERM",
    );
    await untilNone(run, GRACE_MS);
  }
  let left = processesOf(run);
  for (let round = 0; left.length > 0 && round < KILL_ROUNDS; round += 1) {
    send(left, "SIGKILL");
    // What was started while we looked goes with the next look.
    left = await untilNone(run, SETTLE_MS);
  }
  const ended = found.filter(({ pid }) => !left.some((one) => one.pid === pid));
  return [...ended.map(({ line }) => `process ${line}`), ...left.map(({ pid, line }) => `process ${pid} (could not be ended) ${line}`)];
}

/** Entries of one folder; none when it cannot be read. */
function entriesOf(folder: string): readonly Dirent[] {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

/**
 * Wallets of workers that kept their files in the folder. An untrusted app may have left links and files of any name there: no link is
 * followed, and what an app could write is not looked at.
 */
export function walletsIn(folder: string): readonly string[] {
  const wallets = new Set<string>();
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    for (const entry of entriesOf(next)) {
      const wallet = WALLET_FILE.exec(entry.name)?.[1];
      if (entry.isFile() && wallet !== undefined) wallets.add(wallet);
      if (entry.isDirectory() && !TASK_FOLDER.test(entry.name)) folders.push(join(next, entry.name));
    }
  }
  return [...wallets];
}

interface Listed {
  readonly Id: string;
  readonly Name?: string;
  readonly Names?: readonly string[];
  readonly Labels?: Readonly<Record<string, string>> | null;
  readonly Mounts?: readonly { readonly Source?: string }[];
}

/** One call of the Docker Engine. Errors: no engine, an answer that is no success. */
function engine(method: "GET" | "DELETE", path: string): Promise<readonly Listed[]> {
  const host = new URL(process.env.DOCKER_HOST ?? "unix:///var/run/docker.sock");
  const where = host.protocol === "unix:" ? { socketPath: host.pathname } : { host: host.hostname, port: host.port };
  const { promise, resolve, reject } = Promise.withResolvers<readonly Listed[]>();
  const asked = request({ ...where, method, path, timeout: ENGINE_MS }, (answer) => {
    let text = "";
    answer.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    answer.on("end", () => {
      if ((answer.statusCode ?? 500) >= 300) reject(new Error(`the engine answers ${answer.statusCode}`));
      else resolve(method === "GET" ? JSON.parse(text) : []);
    });
  });
  asked.on("timeout", () => asked.destroy(new Error("the engine does not answer")));
  asked.on("error", reject);
  asked.end();
  return promise;
}

async function removeContainers(folder: string, wallets: readonly string[]): Promise<readonly string[]> {
  const isOurs = ({ Labels }: Listed) => wallets.includes(Labels?.["iexec.worker"] ?? "");
  const ours = (await engine("GET", "/containers/json?all=1")).filter(
    (container) =>
      isOurs(container) || container.Mounts?.some(({ Source }) => Source === folder || Source?.startsWith(`${folder}/`)) === true,
  );
  for (const { Id } of ours) await engine("DELETE", `/containers/${Id}?force=1&v=1`).catch(() => undefined);
  const networks = (await engine("GET", "/networks")).filter(isOurs);
  for (const { Id } of networks) await engine("DELETE", `/networks/${Id}`).catch(() => undefined);
  return [...ours.map(({ Names }) => `container ${Names?.join()}`), ...networks.map(({ Name }) => `network ${Name}`)];
}

async function sweep(run: RunSigns, now: boolean): Promise<void> {
  const { folder } = run;
  const ended = await endProcesses(run, now);
  // Without an engine there are no containers.
  const removed = await removeContainers(folder, walletsIn(folder)).catch(() => []);
  const left = [...ended, ...removed];
  try {
    // A link in it goes as a link.
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  } catch (thrown) {
    left.push(`folder ${folder} (could not be removed) ${String(thrown)}`);
  }
  if (left.length > 0) process.stderr.write(`run: ended what was left: ${left.join("; ")}\n`);
}

if (process.argv[1] === import.meta.filename) {
  const words = process.argv.slice(2);
  const [folder, mark] = words.filter((word) => word !== "--now");
  if (folder !== undefined && mark !== undefined) await sweep({ folder, mark }, words.includes("--now"));
}
