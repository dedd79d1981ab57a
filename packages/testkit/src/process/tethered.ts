import type { ChildProcess } from "node:child_process";
import { CodedError } from "@iexec-ts/service";
import { spawnOwned, stopOwned, unrefStream } from "./owned.ts";

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

/**
 * Starts a program that never outlives this process, even when this process is killed with SIGKILL, and that does not keep this
 * process alive. It runs in its own session, so that Ctrl-C reaches our own shutdown first.
 *
 * Errors: NET-1001 port taken, NET-1002 ended or silent before it was ready.
 * SIDE EFFECTS: starts the program and a small watchdog shell.
 */
export async function spawnTethered(options: TetheredOptions, signal?: AbortSignal): Promise<Tethered> {
  const child = spawnOwned(options.command, options.args, {
    stdio: ["ignore", "pipe", "pipe"],
    ...(options.stopSignal === undefined ? {} : { stopSignal: options.stopSignal }),
    ...(options.removeAfter === undefined ? {} : { removeAfter: options.removeAfter }),
    ...(options.env === undefined ? {} : { env: options.env }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
  });
  const exited = new Promise<number | null>((resolve) => {
    child.once("close", (code) => resolve(code));
    child.once("error", () => resolve(null));
  });
  let tail = "";
  const stop = async (): Promise<number | null> => {
    await stopOwned(child);
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
      child.stdout?.on("data", onData);
      child.stderr?.on("data", onData);
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

function startError(options: TetheredOptions, reason: string): CodedError {
  if (/address already in use|EADDRINUSE|could not bind/i.test(reason)) {
    return new CodedError("NET-1001", { port: options.port, program: options.program });
  }
  return new CodedError("NET-1002", { program: options.program, reason });
}

function unref(child: ChildProcess): void {
  child.unref();
  unrefStream(child.stdout);
  unrefStream(child.stderr);
}
