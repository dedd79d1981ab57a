import type { ChildProcess } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { signalGroup, spawnOwned } from "@iexec-ts/testkit";

/** The repository's root. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const END_LIMIT_MS = 60_000;
/** Longer than what an orderly end may take. */
const DISPOSE_MS = 50_000;

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
    this.#child = spawnOwned(program, args, {
      cwd: options.cwd ?? ROOT,
      env: { ...Object.fromEntries(inherited), TMPDIR: this.tmp, ...options.env },
      stdio: ["ignore", "pipe", "pipe"],
      graceMs: DISPOSE_MS,
      // Whether it ends what it started is what is looked at here.
      spareGroup: true,
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
    this.signal("SIGINT");
  }

  /** @param to - the whole group, as a terminal does, or the program itself, as `kill` does */
  signal(name: NodeJS.Signals, to: "one" | "group" = "group"): void {
    if (to === "one") this.#child.kill(name);
    else if (this.#child.pid !== undefined) signalGroup(this.#child.pid, name);
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
      this.signal("SIGTERM");
      await this.end(DISPOSE_MS).catch(() => this.signal("SIGKILL"));
    }
    this.signal("SIGKILL");
    await rm(this.#dir, { recursive: true, force: true, maxRetries: 5 });
  }

  #hear(): void {
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
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

const textOf = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");

/** Processes whose words, environment or working folder name this folder: everything a command started, and what that started. */
export async function processesOf(tmp: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const [words, environment, cwd] = await Promise.all([
      textOf(`/proc/${pid}/cmdline`),
      textOf(`/proc/${pid}/environ`),
      readlink(`/proc/${pid}/cwd`).catch(() => ""),
    ]);
    // Only what has ended and waits for its parent has no words.
    if (words !== "" && [words, environment, cwd].some((text) => text.includes(tmp)))
      found.push(`${pid} ${words.replaceAll("\0", " ").trim().slice(0, 120)}`);
  }
  return found;
}
