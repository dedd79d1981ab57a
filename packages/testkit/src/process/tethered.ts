import { type ChildProcess, spawn } from "node:child_process";
import { CodedError } from "@iexec-ts/service";

export interface TetheredOptions {
  /** Name for error messages. */
  readonly program: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Sees the output so far; returns a value once the program is ready. */
  readonly ready: (output: string) => string | undefined;
  /** Names the port in the error when the output says that it is taken. */
  readonly port?: number;
  readonly startTimeoutMs?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly stopSignal?: NodeJS.Signals;
  /** Deleted when the program has ended, however this process ends. */
  readonly removeAfter?: string;
}

export interface Tethered {
  readonly pid: number;
  /** What `ready` returned. */
  readonly readyValue: string;
  /** The end of what the program has printed. */
  output(): string;
  /** Resolves with the exit code (null when killed by a signal). */
  readonly exited: Promise<number | null>;
  /** SIDE EFFECTS: asks the program to end, kills it after five seconds. Idempotent. */
  stop(): Promise<number | null>;
}

const OUTPUT_KEPT = 16_384;
const STOP_GRACE_MS = 5_000;
const OUTPUT_GRACE_MS = 2_000;

/*
 * Waits until the pipe on its standard input closes, which the kernel does however the parent ends, then ends the program.
 * $1 pid, $2 signal, $3 folder to remove or nothing.
 */
const WATCHDOG = `read -r _
kill -"$2" "$1" 2>/dev/null
n=0; while kill -0 "$1" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done
kill -KILL "$1" 2>/dev/null
[ -n "$3" ] && rm -rf "$3"
exit 0`;

/**
 * Starts a program that never outlives this process, even when this process is killed with SIGKILL, and that does not keep this
 * process alive. It runs in its own session, so that Ctrl-C reaches our own shutdown first.
 *
 * Errors: NET-1001 port taken, NET-1002 ended or silent before it was ready.
 * SIDE EFFECTS: starts the program and a small watchdog shell.
 */
export async function spawnTethered(options: TetheredOptions, signal?: AbortSignal): Promise<Tethered> {
  const stopSignal = options.stopSignal ?? "SIGTERM";
  const child = spawn(options.command, [...options.args], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  const watchdog = child.pid === undefined ? undefined : startWatchdog(child.pid, stopSignal, options.removeAfter);
  const exited = new Promise<number | null>((resolve) => {
    child.once("close", (code) => resolve(code));
    child.once("error", () => resolve(null));
    // Something it started may hold its output open for ever.
    child.once("exit", (code) => {
      const timer = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
        resolve(code);
      }, OUTPUT_GRACE_MS);
      child.once("close", () => clearTimeout(timer));
    });
  });
  void exited.then(() => {
    // With a folder to remove the watchdog ends by itself once its input closes.
    if (options.removeAfter === undefined) watchdog?.kill("SIGKILL");
    else watchdog?.stdin?.destroy();
  });

  let tail = "";
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.ref();
      child.kill(stopSignal);
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_GRACE_MS);
      await exited;
      clearTimeout(timer);
    }
    if (options.removeAfter !== undefined && watchdog !== undefined) await ended(watchdog);
    return exited;
  };

  try {
    const readyValue = await new Promise<string>((resolve, reject) => {
      const fail = (reason: string) => reject(startError(options, reason));
      const timer = setTimeout(
        () => fail(`not ready after ${(options.startTimeoutMs ?? 30_000) / 1000} s`),
        options.startTimeoutMs ?? 30_000,
      );
      const onAbort = () => reject(signal?.reason);
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
      };
      const onData = (chunk: Buffer) => {
        tail = (tail + chunk.toString("utf8")).slice(-OUTPUT_KEPT);
        const value = options.ready(tail);
        if (value === undefined) return;
        settle();
        resolve(value);
      };
      child.stdout.on("data", onData);
      child.stderr.on("data", onData);
      child.once("error", (error) => {
        settle();
        fail(error.message);
      });
      child.once("close", () => {
        settle();
        fail(tail.trim().slice(-600));
      });
      if (signal?.aborted === true) onAbort();
      signal?.addEventListener("abort", onAbort, { once: true });
    });
    unref(child);
    return { pid: child.pid ?? -1, readyValue, output: () => tail, exited, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function startWatchdog(pid: number, stopSignal: NodeJS.Signals, folder: string | undefined): ChildProcess {
  const watchdog = spawn("/bin/sh", ["-c", WATCHDOG, "watchdog", String(pid), stopSignal.replace(/^SIG/, ""), folder ?? ""], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  // A watchdog that cannot start only weakens the guard; the program itself still runs.
  watchdog.on("error", () => undefined);
  watchdog.stdin?.on("error", () => undefined);
  watchdog.unref();
  unrefStream(watchdog.stdin);
  return watchdog;
}

function startError(options: TetheredOptions, reason: string): CodedError {
  if (/address already in use|EADDRINUSE|could not bind/i.test(reason)) {
    return new CodedError("NET-1001", { port: options.port, program: options.program });
  }
  return new CodedError("NET-1002", { program: options.program, reason });
}

async function ended(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  process.ref();
  await new Promise<void>((resolve) => {
    process.once("close", () => resolve());
    process.once("error", () => resolve());
  });
}

function unref(child: ChildProcess): void {
  child.unref();
  unrefStream(child.stdout);
  unrefStream(child.stderr);
}

/** Pipes are sockets underneath; only sockets can be told not to hold the process. */
function unrefStream(stream: unknown): void {
  if (typeof stream === "object" && stream !== null && "unref" in stream && typeof stream.unref === "function") stream.unref();
}
