/** Ends everything that belongs to the temporary folder of a run: `sweep.ts [--now] FOLDER`. Without `--now` processes may end in order. */
import { readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

/** A little more than the longest orderly end of what a run starts. */
const GRACE_MS = 40_000;
const LOOK_EVERY_MS = 100;
const SETTLE_MS = 2_000;
const ENGINE_MS = 20_000;
const WALLET_FILE = /^(0x[0-9a-f]{40})\.(?:lock|sqlite)$/;

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

const folderOf = (pid: string): string => {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
};

/** Processes whose environment, words or working folder name the folder. Without /proc there are none to be seen. */
export function processesOf(folder: string): readonly Found[] {
  let pids: readonly string[];
  try {
    pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
  return pids.flatMap((pid) => {
    if (Number(pid) === process.pid) return [];
    const line = textOf(`/proc/${pid}/cmdline`);
    // Nothing but a zombie has no words; it waits for its parent only.
    if (line === "") return [];
    const names = [line, textOf(`/proc/${pid}/environ`), folderOf(pid)].some((text) => text.includes(folder));
    const parent = Number(/^PPid:\s*(\d+)$/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0);
    return names ? [{ pid: Number(pid), parent, line: line.replaceAll("\0", " ").trim().slice(0, 160) }] : [];
  });
}

function send(found: readonly Found[], signal: NodeJS.Signals): void {
  for (const { pid } of found) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended.
    }
  }
}

async function untilNone(folder: string, limitMs: number): Promise<readonly Found[]> {
  const until = performance.now() + limitMs;
  for (;;) {
    const left = processesOf(folder);
    if (left.length === 0 || performance.now() > until) return left;
    await delay(LOOK_EVERY_MS);
  }
}

async function endProcesses(folder: string, now: boolean): Promise<readonly string[]> {
  const found = processesOf(folder);
  if (found.length > 0 && !now) {
    // Each ends its own children in its own order: a network whose database went first cannot end well.
    const pids = new Set(found.map(({ pid }) => pid));
    send(
      found.filter(({ parent }) => !pids.has(parent)),
      "SIGTERM",
    );
    await untilNone(folder, GRACE_MS);
  }
  // What was started while we looked goes with the next look.
  for (let left = processesOf(folder); left.length > 0; left = await untilNone(folder, SETTLE_MS)) send(left, "SIGKILL");
  return found.map(({ line }) => `process ${line}`);
}

/** Wallets of workers that kept their files in the folder. */
function walletsIn(folder: string): readonly string[] {
  try {
    const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
    return [...new Set(names.flatMap((name) => WALLET_FILE.exec(name.slice(name.lastIndexOf("/") + 1))?.[1] ?? []))];
  } catch {
    return [];
  }
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
    (container) => isOurs(container) || container.Mounts?.some(({ Source }) => Source?.startsWith(folder)) === true,
  );
  for (const { Id } of ours) await engine("DELETE", `/containers/${Id}?force=1&v=1`).catch(() => undefined);
  const networks = (await engine("GET", "/networks")).filter(isOurs);
  for (const { Id } of networks) await engine("DELETE", `/networks/${Id}`).catch(() => undefined);
  return [...ours.map(({ Names }) => `container ${Names?.join()}`), ...networks.map(({ Name }) => `network ${Name}`)];
}

async function sweep(folder: string, now: boolean): Promise<void> {
  const ended = await endProcesses(folder, now);
  // Without an engine there are no containers.
  const removed = await removeContainers(folder, walletsIn(folder)).catch(() => []);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  const left = [...ended, ...removed];
  if (left.length > 0) process.stderr.write(`run: ended what was left: ${left.join("; ")}\n`);
}

const words = process.argv.slice(2);
const folder = words.at(-1);
if (process.argv[1] === import.meta.filename && folder !== undefined && folder !== "--now") await sweep(folder, words.includes("--now"));
