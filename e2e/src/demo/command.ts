import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository's root. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const END_LIMIT_MS = 60_000;

/**
 * A program as somebody at a terminal starts it: in a process group of its own, with a TMPDIR of its own, by which everything it starts
 * can be told from what others run on this machine.
 */
export class Command {
  /** Its TMPDIR. */
  readonly tmp: string;
  /** A folder for what it is asked to write. */
  readonly out: string;
  readonly ended: Promise<Ended>;
  readonly #dir: string;
  readonly #child: ChildProcess;
  #stdout = "";
  #stderr = "";
  #heard = Promise.withResolvers<void>();

  /** SIDE EFFECTS: makes its folders and starts it. */
  static async start(line: CommandLine, options: CommandOptions = {}): Promise<Command> {
    const dir = await mkdtemp(join(tmpdir(), "iexec-e2e-"));
    for (const name of ["tmp", "out"]) await mkdir(join(dir, name));
    // Postgres drops root's rights and must still get at its folder.
    await chmod(dir, 0o755);
    return new Command(dir, line, options);
  }

  private constructor(dir: string, line: CommandLine, options: CommandOptions) {
    this.#dir = dir;
    this.tmp = join(dir, "tmp");
    this.out = join(dir, "out");
    const [program, ...args] = line(this);
    // The last: behind a proxy with a certificate of its own npm would try for minutes and then fail.
    const { PATH, HOME, NODE_COMPILE_CACHE, NODE_EXTRA_CA_CERTS } = process.env;
    const inherited = Object.entries({ PATH, HOME, NODE_COMPILE_CACHE, NODE_EXTRA_CA_CERTS }).filter(([, value]) => value !== undefined);
    this.#child = spawn(program, args, {
      cwd: options.cwd ?? ROOT,
      env: { ...Object.fromEntries(inherited), TMPDIR: this.tmp, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    this.#child.stdout?.on("data", (chunk: Buffer) => {
      this.#stdout += chunk.toString();
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => {
      this.#stderr += chunk.toString();
      this.#hear();
    });
    this.ended = new Promise((resolve, reject) => {
      this.#child.once("error", reject);
      this.#child.once("close", (code) => {
        resolve({ code, stdout: this.#stdout, stderr: this.#stderr });
        this.#hear();
      });
    });
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Waits until standard error shows this. */
  async says(pattern: RegExp, signal: AbortSignal): Promise<RegExpExecArray> {
    const stop = () => this.#hear();
    signal.addEventListener("abort", stop, { once: true });
    try {
      for (;;) {
        const heard = this.#heard.promise;
        const found = pattern.exec(this.#stderr);
        if (found !== null) return found;
        if (signal.aborted || this.#child.exitCode !== null || this.#child.signalCode !== null)
          throw new Error(`never said ${pattern}; its last words: ${this.#stderr.slice(-400)}`);
        await heard;
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** Ctrl-C at a terminal reaches the whole group. */
  interrupt(): void {
    this.#signal("SIGINT");
  }

  /** Waits for its end. Errors: when it has not ended after `limitMs`. */
  async end(limitMs = END_LIMIT_MS): Promise<Ended> {
    const timer = Promise.withResolvers<never>();
    const limit = setTimeout(
      () => timer.reject(new Error(`still running after ${limitMs} ms; its last words: ${this.#stderr.slice(-400)}`)),
      limitMs,
    );
    try {
      return await Promise.race([this.ended, timer.promise]);
    } finally {
      clearTimeout(limit);
    }
  }

  /** SIDE EFFECTS: kills what still runs, deletes its folders. Idempotent. */
  async dispose(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#signal("SIGTERM");
      await this.end(20_000).catch(() => this.#signal("SIGKILL"));
    }
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 5 });
  }

  #hear(): void {
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }

  #signal(name: NodeJS.Signals): void {
    if (this.#child.pid === undefined) return;
    try {
      process.kill(-this.#child.pid, name);
    } catch (thrown) {
      if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ESRCH")) throw thrown;
    }
  }
}

/** The words of a command, once its folders are known. */
export type CommandLine = (folders: { readonly tmp: string; readonly out: string }) => readonly [string, ...string[]];

export interface CommandOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** Runs a program while `use` looks at it; whatever happens, nothing of it stays. */
export async function withCommand<T>(line: CommandLine, options: CommandOptions, use: (command: Command) => Promise<T>): Promise<T> {
  const command = await Command.start(line, options);
  try {
    return await use(command);
  } finally {
    await command.dispose();
  }
}

/** Processes with this TMPDIR: everything a command started, and what that started. */
export async function processesOf(tmp: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const [environment, line] = await Promise.all([
      readFile(`/proc/${pid}/environ`, "utf8").catch(() => ""),
      readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => ""),
    ]);
    if (environment.split("\0").includes(`TMPDIR=${tmp}`)) found.push(`${pid} ${line.replaceAll("\0", " ").trim()}`);
  }
  return found;
}
