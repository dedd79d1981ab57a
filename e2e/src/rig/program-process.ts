import type { ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";
import { fileURLToPath } from "node:url";
import { spawnOwned } from "@iexec-ts/testkit";

const STOP_LIMIT_MS = 20_000;
const FORCE_GC = fileURLToPath(import.meta.resolve("./force-gc.ts"));

/** Set, every program of the rig and the end-to-end runner itself collect their garbage each second. */
export const forcesGc = (): boolean => process.env.IEXEC_E2E_FORCE_GC === "1";

/** For whoever looks into memory: --trace-gc and the like, separated by blanks, reach every program of the rig. */
const nodeFlags = (): readonly string[] => (process.env.IEXEC_E2E_NODE_FLAGS ?? "").split(" ").filter(Boolean);

export interface ProgramOptions {
  /** What Node is to run. */
  readonly program: string;
  readonly args?: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logPath: string;
  /** A full garbage collection each second; when IEXEC_E2E_FORCE_GC is 1 unless told. */
  readonly forceGc?: boolean;
}

/** One of our programs in its own process, as an operator runs it: it can be killed at any instant and started again. */
export class ProgramProcess {
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
  readonly logPath: string;
  readonly forceGc: boolean;
  readonly #args: readonly string[];
  #child: ChildProcess | undefined;
  #exited: Promise<number | null> = Promise.resolve(null);

  constructor({ program, args = [], env, logPath, forceGc = forcesGc() }: ProgramOptions) {
    this.program = program;
    this.env = env;
    this.logPath = logPath;
    this.forceGc = forceGc;
    this.#args = args;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get running(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** How it ended when it did so with an error and not by a signal; undefined while it runs, and for an orderly end. */
  get endedAs(): string | undefined {
    const code = this.#child?.exitCode ?? 0;
    return code === 0 ? undefined : `its process ended with ${code}, see ${this.logPath}`;
  }

  /** Exit code of the last run; null when a signal ended it. */
  get exited(): Promise<number | null> {
    return this.#exited;
  }

  /**
   * SIDE EFFECTS: starts the process.
   * @param extra - more environment, for example IEXEC_TEST_CRASH_AT
   */
  start(extra: Readonly<Record<string, string>> = {}): this {
    const before = this.forceGc ? ["--import", FORCE_GC] : [];
    const child = spawnOwned(process.execPath, [...nodeFlags(), ...before, this.program, ...this.#args], {
      env: { PATH: process.env.PATH ?? "", NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? "", ...this.env, ...extra },
      stdio: ["ignore", "pipe", "pipe"],
      graceMs: STOP_LIMIT_MS,
    });
    const log = createWriteStream(this.logPath, { flags: "a" });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    this.#child = child;
    // Not at its exit: what it said last may still be in the pipes then.
    this.#exited = new Promise((resolve) => child.once("close", (code) => log.end(() => resolve(code))));
    return this;
  }

  /** SIGKILL: as a power cut. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#exited;
  }

  /** SIGSTOP: as a suspended machine. `thaw` lets it go on. */
  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  /** SIGTERM, and SIGKILL when that is not obeyed. Idempotent. */
  async stop(): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return this.#exited;
    child.kill("SIGTERM");
    const limit = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
    const code = await this.#exited;
    clearTimeout(limit);
    return code;
  }
}
