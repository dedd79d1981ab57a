import { readdir, readFile } from "node:fs/promises";
import type { ProgramProcess } from "../rig/program-process.ts";

export type Role = "worker" | "scheduler" | "result-proxy";

export interface Sample {
  /** Tasks over when it was taken. */
  readonly tasks: number;
  readonly rssMib: number;
  readonly fds: number;
  /** As the metrics page last said; undefined where it does not. */
  readonly heapMib: number | undefined;
  /** Spent since it was started. */
  readonly cpuSeconds: number;
  /** How often the process had been started. */
  readonly life: number;
}

const METRICS_MS = 5_000;
const MIB = 1_024 ** 2;
const TICKS_PER_SECOND = 100;

/** The metrics page's errors by code. */
export function errorsIn(page: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [, code = "", count = ""] of page.matchAll(/^iexec_errors_total\{code="([^"]+)"\} (\d+)/gm)) found.set(code, Number(count));
  return found;
}

/** One process of the soak, and what it has taken of the machine over time. */
export class Watched<P extends ProgramProcess = ProgramProcess> {
  readonly name: string;
  readonly role: Role;
  readonly process: P;
  /** Where its HTTP server answers. */
  readonly url: string;
  readonly samples: Sample[] = [];
  /** Ends that nobody asked for, by exit code or signal. */
  readonly crashes: string[] = [];
  /** Ends that were asked for with SIGTERM, and not orderly. */
  readonly hungStops: string[] = [];
  #life = 0;
  #expected = false;
  #heapMib: number | undefined;
  readonly #errorsOfLives: ReadonlyMap<string, number>[] = [];

  constructor(name: string, role: Role, process: P, url: string) {
    this.name = name;
    this.role = role;
    this.process = process;
    this.url = url;
  }

  /** SIDE EFFECTS: starts it, for the first time or again. */
  start(): void {
    this.#expected = false;
    this.#life += 1;
    const life = this.#life;
    this.process.start();
    void this.process.exited.then((code) => {
      if (!this.#expected && this.#life === life) this.crashes.push(`${this.name} ended by itself with ${code ?? "a signal"}`);
    });
  }

  /** SIDE EFFECTS: SIGKILL. */
  async kill(): Promise<void> {
    this.#expected = true;
    await this.process.kill();
  }

  /** SIDE EFFECTS: SIGTERM. @returns the exit code; null when it took a SIGKILL */
  async stop(): Promise<number | null> {
    this.#expected = true;
    const { running } = this.process;
    const code = await this.process.stop();
    if (running && code !== 0) this.hungStops.push(code === null ? `${this.name} took a SIGKILL` : `${this.name} ended with ${code}`);
    return code;
  }

  /** Whether its health page answers; a body that says DOWN counts as an answer. */
  async answers(): Promise<boolean> {
    const answer = await fetch(`${this.url}/health`, { signal: AbortSignal.timeout(METRICS_MS) }).catch(() => undefined);
    await answer?.body?.cancel();
    return answer !== undefined;
  }

  /** Reads what the kernel says of it. A process that is just gone has no sample. */
  async sample(tasks: number): Promise<void> {
    const { pid, running } = this.process;
    if (pid === undefined || !running) return;
    const [status, stat, fds] = await Promise.all([
      readFile(`/proc/${pid}/status`, "utf8").catch(() => ""),
      readFile(`/proc/${pid}/stat`, "utf8").catch(() => ""),
      readdir(`/proc/${pid}/fd`).catch(() => []),
    ]);
    const kib = /VmRSS:\s+(\d+)/.exec(status)?.[1];
    if (kib === undefined) return;
    const times = stat.split(") ")[1]?.split(" ") ?? [];
    const cpuSeconds = (Number(times[11]) + Number(times[12])) / TICKS_PER_SECOND;
    this.samples.push({ tasks, rssMib: Number(kib) / 1_024, fds: fds.length, heapMib: this.#heapMib, cpuSeconds, life: this.#life });
  }

  /** Reads its metrics page: the heap, and errors by code. */
  async readMetrics(): Promise<void> {
    const life = this.#life;
    const answer = await fetch(`${this.url}/metrics`, { signal: AbortSignal.timeout(METRICS_MS) }).catch(() => undefined);
    const page = await answer?.text().catch(() => undefined);
    if (page === undefined || life !== this.#life) return;
    const heap = /^\w*nodejs_heap_size_used_bytes (\S+)/m.exec(page)?.[1];
    this.#heapMib = heap === undefined ? undefined : Number(heap) / MIB;
    this.#errorsOfLives[life] = errorsIn(page);
  }

  /** Errors by code, over all its lives; what it counted after the last look before a kill is lost. */
  errors(): ReadonlyMap<string, number> {
    const sums = new Map<string, number>();
    for (const errors of Object.values(this.#errorsOfLives))
      for (const [code, count] of errors) sums.set(code, (sums.get(code) ?? 0) + count);
    return sums;
  }
}
