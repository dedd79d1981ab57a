import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CodedError, exitCodeOf, explainError, loadConfig, type Output, openScope, parseKeystore, systemClock } from "@iexec-ts/service";
import { workerConfig } from "../config.ts";
import { knownConfigFile } from "../config-file.ts";
import { askWorker } from "./client.ts";
import { socketPath } from "./wire.ts";

/** A wallet takes seconds to open on a slow machine. */
const START_LIMIT_MS = 120_000;
const LOOK_MS = 100;
const TAIL_CHARACTERS = 2_000;

/**
 * Starts the worker in the background and returns when it can be reached, or has ended instead.
 *
 * SIDE EFFECTS: a process that outlives this one; its log is appended to `worker.log` in the state directory.
 * @returns the exit code of this process; that of the worker when it ended at once
 */
export async function startDetached(argv: readonly string[], env: NodeJS.ProcessEnv, output: Output): Promise<number> {
  const json = argv.includes("--json");
  const fail = (error: CodedError): void => {
    if (json) output.out(`${JSON.stringify({ schema: 1, ok: false, command: "start", error: error.toJSON() })}\n`);
    output.err(explainError(error));
  };
  try {
    const { values: settings } = loadConfig(workerConfig, { argv, env, file: knownConfigFile(env) });
    const { address } = parseKeystore(await readFile(settings.walletPath, "utf8"), settings.walletPath);
    if (address !== undefined) {
      const there = await askWorker(socketPath(settings.stateDir, address), "state", {}, { signal: AbortSignal.timeout(START_LIMIT_MS) });
      if (there.kind === "done") throw new CodedError("WRK-1001", { wallet: address, holder: "it answers its commands" });
    }
    const logPath = join(settings.stateDir, "worker.log");
    await mkdir(dirname(logPath), { recursive: true, mode: 0o755 });
    const log = openSync(logPath, "a", 0o600);
    const program = process.argv[1] ?? fileURLToPath(new URL("../bin.ts", import.meta.url));
    const child = spawn(process.execPath, [...process.execArgv, program, "start", ...argv], {
      detached: true,
      stdio: ["ignore", log, log],
      env,
    });
    closeSync(log);
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    const stop = new AbortController();
    const up = address === undefined ? Promise.resolve() : untilReached(socketPath(settings.stateDir, address), stop.signal);
    const first = await Promise.race([up.then(() => "up" as const), ended]);
    stop.abort();
    if (first !== "up") {
      const reason = (await tailOf(logPath)).split("\n").findLast((line) => /^[A-Z]{3}-\d{4}: /.test(line)) ?? `it ended with ${first}`;
      fail(new CodedError("WRK-1516", { reason, log: logPath }));
      return first ?? 1;
    }
    child.unref();
    if (json)
      output.out(
        `${JSON.stringify({ schema: 1, ok: true, command: "start", pid: child.pid ?? null, log: logPath, next: ["iexec-worker status"] })}\n`,
      );
    else output.out(`STOPPED -> RUNNING, process ${child.pid}, log ${logPath}\nNext: iexec-worker status\n`);
    return 0;
  } catch (thrown) {
    const error = CodedError.from(thrown);
    fail(error);
    return exitCodeOf(error);
  }
}

async function untilReached(path: string, signal: AbortSignal): Promise<void> {
  using limit = openScope([signal], { ms: START_LIMIT_MS });
  // Bounded: the scope has a limit, and each question follows it.
  while (!limit.signal.aborted) {
    const answer = await askWorker(path, "state", {}, { signal: limit.signal }).catch(() => undefined);
    if (answer?.kind === "done") return;
    await systemClock.sleep(LOOK_MS, limit.signal).catch(() => undefined);
  }
}

const tailOf = (path: string): Promise<string> => readFile(path, "utf8").then((text) => text.slice(-TAIL_CHARACTERS));
