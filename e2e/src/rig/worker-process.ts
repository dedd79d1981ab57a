import type { ChildProcess } from "node:child_process";
import { createWriteStream, existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Address, TaskId } from "@iexec-ts/poco";
import { spawnOwned } from "@iexec-ts/testkit";
import { type JournalView, readJournal, type StatusChange } from "@iexec-ts/worker";

const BIN = fileURLToPath(import.meta.resolve("@iexec-ts/worker")).replace(/index\.ts$/, "bin.ts");
const STOP_LIMIT_MS = 20_000;

/** A worker in its own process, as an operator runs it: it can be killed at any instant and started again on the same folders. */
export class WorkerProcess {
  /** Every worker that was ever started by this process. */
  static readonly started: Set<WorkerProcess> = new Set();

  readonly address: Address;
  readonly env: Readonly<Record<string, string>>;
  readonly logPath: string;
  #child: ChildProcess | undefined;
  #exited: Promise<number | null> = Promise.resolve(null);

  readonly program: string;

  /** @param options.program - what to run: the worker's source unless told, or a bundle */
  constructor(options: {
    readonly address: Address;
    readonly env: Readonly<Record<string, string>>;
    readonly logPath: string;
    readonly program?: string;
  }) {
    this.program = options.program ?? BIN;
    this.address = options.address;
    this.env = options.env;
    this.logPath = options.logPath;
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
    const child = spawnOwned(process.execPath, [this.program, "start"], {
      env: { PATH: process.env.PATH ?? "", NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? "", ...this.env, ...extra },
      stdio: ["ignore", "pipe", "pipe"],
      graceMs: STOP_LIMIT_MS,
    });
    const log = createWriteStream(this.logPath, { flags: "a" });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    this.#child = child;
    WorkerProcess.started.add(this);
    this.#exited = new Promise((resolve) =>
      child.once("exit", (code) => {
        log.end();
        resolve(code);
      }),
    );
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

  get journalPath(): string {
    return join(this.env.IEXEC_WORKER_STATE_DIR ?? "", `${this.address}.sqlite`);
  }

  journal(): JournalView | undefined {
    return existsSync(this.journalPath) ? readJournal(this.journalPath) : undefined;
  }

  history(taskId: TaskId): readonly StatusChange[] {
    return this.journal()?.history(taskId) ?? [];
  }
}
