import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Address, TaskId } from "@iexec-ts/poco";
import { type JournalView, readJournal, type StatusChange } from "@iexec-ts/worker";
import { ProgramProcess } from "./program-process.ts";

const BIN = fileURLToPath(import.meta.resolve("@iexec-ts/worker")).replace(/index\.ts$/, "bin.ts");

/** A worker in its own process, as an operator runs it: it can be killed at any instant and started again on the same folders. */
export class WorkerProcess extends ProgramProcess {
  /** Every worker that was ever started by this process. */
  static readonly started: Set<WorkerProcess> = new Set();

  readonly address: Address;

  /** @param options.program - what to run: the worker's source unless told, or a bundle */
  constructor(options: {
    readonly address: Address;
    readonly env: Readonly<Record<string, string>>;
    readonly logPath: string;
    readonly program?: string;
    readonly forceGc?: boolean;
  }) {
    super({ program: BIN, ...options, args: ["start"] });
    this.address = options.address;
  }

  override start(extra: Readonly<Record<string, string>> = {}): this {
    WorkerProcess.started.add(this);
    return super.start(extra);
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
