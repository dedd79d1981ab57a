import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { RUN_MARK } from "./run-mark.ts";

export interface OwnedOptions extends Omit<SpawnOptions, "detached"> {
  /** How it is asked to end. @default SIGTERM */
  readonly stopSignal?: NodeJS.Signals;
  /** How long it may take to end after it was asked, in milliseconds; then its process group is killed. @default 5000 */
  readonly graceMs?: number;
  /** Deleted when the program has ended, however this process ends. */
  readonly removeAfter?: string;
  /** What is left of its process group when it has ended itself goes on, until this process ends. @default false */
  readonly spareGroup?: boolean;
}

interface Owned {
  readonly exited: Promise<void>;
  readonly stopSignal: NodeJS.Signals;
  readonly graceMs: number;
}

const DEFAULT_GRACE_MS = 5_000;
const owned = new Map<ChildProcess, Owned>();

/*
 * Waits until the pipe on its standard input closes, which the kernel does however the parent ends, then ends the program and whatever is
 * left of its process group. It is there before the program is, and learns of it through the pipe; so does nothing about it look like a
 * part of the run. $1 signal, $2 tenths of a second until it is killed; standard input: the folder to remove or an empty line, then the pid.
 */
const WATCHDOG = `IFS= read -r folder
read -r pid || pid=
read -r _
if [ -n "$pid" ]; then
  kill -s "$1" "$pid" 2>/dev/null
  n=0; while kill -0 "$pid" 2>/dev/null && [ $n -lt "$2" ]; do sleep 0.1; n=$((n+1)); done
  kill -s KILL -- "-$pid" 2>/dev/null
fi
[ -n "$folder" ] && rm -rf "$folder"
exit 0`;

/**
 * Starts a shell script that is told of the end of this process, however it ends: its standard input closes then.
 *
 * SIDE EFFECTS: starts a shell in a session of its own, which does not keep this process alive.
 * @param firstLine - what the script reads before it waits, a line or more; never seen in its arguments or its environment
 */
export function atMyEnd(script: string, args: readonly string[], firstLine: string): ChildProcess {
  const watcher = spawn("/bin/sh", ["-c", script, ...args], {
    cwd: "/",
    env: { PATH: process.env.PATH ?? "/usr/bin:/bin" },
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  // A watcher that cannot start only weakens the guard.
  watcher.on("error", () => undefined);
  watcher.stdin?.on("error", () => undefined);
  watcher.stdin?.write(`${firstLine}\n`);
  watcher.unref();
  unrefStream(watcher.stdin);
  return watcher;
}

/**
 * Starts a program that never outlives this process: not its orderly end, not SIGKILL. It is the only way in which tests and tools start
 * programs; a lint rule forbids the others.
 *
 * The program leads a process group of its own, so that Ctrl-C reaches our own end first; what is left of the group is killed when the
 * program has ended. It always gets our TMPDIR and the mark of our run, by which all that belongs to a run is found.
 *
 * SIDE EFFECTS: starts the program and a small watchdog shell.
 */
export function spawnOwned(command: string, args: readonly string[], options: OwnedOptions = {}): ChildProcess {
  const { stopSignal = "SIGTERM", graceMs = DEFAULT_GRACE_MS, removeAfter, spareGroup = false, env, ...rest } = options;
  const { TMPDIR, [RUN_MARK]: mark } = process.env;
  const tenths = String(Math.ceil(graceMs / 100));
  const watchdog = atMyEnd(WATCHDOG, ["watchdog", stopSignal.replace(/^SIG/, ""), tenths], removeAfter ?? "");
  const child = spawn(command, [...args], {
    ...rest,
    env: { ...(TMPDIR === undefined ? {} : { TMPDIR }), ...(mark === undefined ? {} : { [RUN_MARK]: mark }), ...(env ?? process.env) },
    detached: true,
  });
  const { pid } = child;
  // It did not start: the event "error" says so.
  if (pid === undefined) {
    watchdog.stdin?.destroy();
    return child;
  }
  watchdog.stdin?.write(`${pid}\n`);
  const ended = removeAfter === undefined ? undefined : exitOf(watchdog);
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => {
      owned.delete(child);
      if (!spareGroup) signalGroup(pid, "SIGKILL");
      // With a folder to remove the watchdog ends by itself once its input closes.
      if (ended === undefined) {
        watchdog.kill("SIGKILL");
        resolve();
      } else {
        watchdog.ref();
        watchdog.stdin?.destroy();
        void ended.then(resolve);
      }
    });
  });
  owned.set(child, { exited, stopSignal, graceMs });
  removals.set(child, exited);
  return child;
}

const removals = new WeakMap<ChildProcess, Promise<void>>();

/**
 * Resolves when the program has ended and its folder is gone.
 *
 * SIDE EFFECTS: asks it to end, and kills its group when its grace is over. Idempotent.
 */
export async function stopOwned(child: ChildProcess): Promise<void> {
  const found = owned.get(child);
  if (found !== undefined && child.pid !== undefined) {
    const { pid } = child;
    child.ref();
    child.kill(found.stopSignal);
    const limit = setTimeout(() => signalGroup(pid, "SIGKILL"), found.graceMs);
    await found.exited;
    clearTimeout(limit);
  }
  await removals.get(child);
}

/** SIDE EFFECTS: ends every program that `spawnOwned` started and that still runs, all at once. */
export async function stopAllOwned(): Promise<void> {
  await Promise.all([...owned.keys()].map(stopOwned));
}

/** Asks every program that `spawnOwned` started to end, without waiting: for the event `exit`. */
export function tellAllOwned(): void {
  for (const [child, { stopSignal }] of owned) child.kill(stopSignal);
}

/** Sends a signal to all of a process group; one that is gone already is none of our business. */
export function signalGroup(leader: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-leader, signal);
  } catch (thrown) {
    // On macOS a group of zombies answers EPERM.
    if (!(thrown instanceof Error && "code" in thrown && (thrown.code === "ESRCH" || thrown.code === "EPERM"))) throw thrown;
  }
}

function exitOf(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
}

/** Pipes are sockets underneath; only sockets can be told not to hold the process. */
export function unrefStream(stream: unknown): void {
  if (typeof stream === "object" && stream !== null && "unref" in stream && typeof stream.unref === "function") stream.unref();
}

export interface Ran {
  /** 1 when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  /** Both streams as they came. */
  readonly output: string;
}

const MAX_OUTPUT_CHARACTERS = 64 * 1_024 * 1_024;

/**
 * Runs a program to its end, with `spawnOwned`.
 *
 * Errors: what the system says when it cannot be started; a code other than 0 is no error.
 * SIDE EFFECTS: whatever the program does; the signal asks it to end.
 */
export async function runOwned(
  command: string,
  args: readonly string[],
  options: Omit<OwnedOptions, "stdio" | "signal"> & {
    /** What it reads on standard input. */
    readonly input?: string;
    readonly signal?: AbortSignal;
    readonly onOutput?: (text: string, from: "stdout" | "stderr") => void;
  } = {},
): Promise<Ran> {
  const { input, signal, onOutput, ...rest } = options;
  const child = spawnOwned(command, args, { ...rest, stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"] });
  let stdout = "";
  let output = "";
  const collect = (from: "stdout" | "stderr") => (text: string) => {
    if (output.length < MAX_OUTPUT_CHARACTERS) {
      output += text;
      if (from === "stdout") stdout += text;
    }
    onOutput?.(text, from);
  };
  child.stdout?.setEncoding("utf8").on("data", collect("stdout"));
  child.stderr?.setEncoding("utf8").on("data", collect("stderr"));
  child.stdin?.on("error", () => undefined);
  child.stdin?.end(input);
  const stop = (): void => void stopOwned(child);
  if (signal?.aborted === true) stop();
  signal?.addEventListener("abort", stop, { once: true });
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.once("error", reject);
      child.once("close", (exit) => resolve(exit ?? 1));
    });
    return { code, stdout, output };
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
