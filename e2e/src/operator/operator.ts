import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Address } from "@iexec-ts/poco";
import { z } from "zod";
import { WorkerProcess } from "../rig/worker-process.ts";
import type { SecretWatch } from "./secret-watch.ts";
import { type Answer, type Seen, Terminal } from "./terminal.ts";

const jsonAnswer = z.looseObject({
  schema: z.literal(1),
  ok: z.boolean(),
  command: z.string().optional(),
  next: z.array(z.string()).optional(),
  error: z.looseObject({ code: z.string(), message: z.string() }).optional(),
});
export type JsonAnswer = z.output<typeof jsonAnswer>;

interface OperatorOptions {
  readonly name: string;
  readonly home: string;
  /** Where `iexec-worker` is found. */
  readonly bin: string;
  /** Undefined while there is no wallet. */
  readonly address: Address | undefined;
  readonly password: string;
  readonly env: Readonly<Record<string, string>>;
  readonly watch: SecretWatch;
}

/** A person with a machine: a home folder, a wallet, settings in the environment, and a terminal. */
export class Operator {
  readonly name: string;
  readonly home: string;
  readonly password: string;
  /** Settings by their names in the environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly #options: OperatorOptions;
  readonly #terminals = new Set<Terminal>();
  readonly #processes: WorkerProcess[] = [];
  #address: Address | undefined;

  constructor(options: OperatorOptions) {
    this.#options = options;
    this.#address = options.address;
    this.name = options.name;
    this.home = options.home;
    this.password = options.password;
    this.env = options.env;
  }

  get address(): Address {
    if (this.#address === undefined) throw new Error(`${this.name} has no wallet yet`);
    return this.#address;
  }

  set address(address: Address) {
    this.#address = address;
  }

  get hasWallet(): boolean {
    return this.#address !== undefined;
  }

  get walletPath(): string {
    return this.env.IEXEC_WORKER_WALLET_PATH ?? "";
  }

  get pageUrl(): string {
    return `http://127.0.0.1:${this.env.IEXEC_WORKER_PORT}`;
  }

  /** What a login shell of this person has, and no more. */
  shellEnv(extra: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
    const compiled = process.env.NODE_COMPILE_CACHE;
    return {
      PATH: `${this.#options.bin}:${process.env.PATH ?? ""}`,
      HOME: this.home,
      LANG: "C.UTF-8",
      TERM: "xterm-256color",
      ...(compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled }),
      ...Object.fromEntries(Object.entries({ ...this.env, ...extra }).filter(([, value]) => value !== "")),
    };
  }

  /** A secret only this person can read. */
  async file(name: string, content: string): Promise<string> {
    const folder = join(this.home, "private");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, name);
    await writeFile(path, content, { mode: 0o600 });
    await chmod(path, 0o600);
    return path;
  }

  /** SIDE EFFECTS: starts a program at a terminal; `close` ends it. @param env - more environment; an empty value takes a variable away */
  at(line: readonly [string, ...string[]], env: Readonly<Record<string, string>> = {}): Terminal {
    const terminal = new Terminal(line, {
      env: this.shellEnv(env),
      cwd: this.home,
      onEnd: (raw) => {
        this.#options.watch.check(`the terminal of ${line.slice(0, 4).join(" ")}`, raw);
        this.#terminals.delete(terminal);
      },
    });
    this.#terminals.add(terminal);
    return terminal;
  }

  /** One command of `iexec-worker` to its end, with what the person answers. `before` are words in front of it. */
  async run(
    args: readonly string[],
    signal: AbortSignal,
    options: {
      readonly env?: Readonly<Record<string, string>>;
      readonly answers?: readonly Answer[];
      readonly before?: readonly string[];
    } = {},
  ): Promise<Seen> {
    const [first = "iexec-worker", ...rest] = [...(options.before ?? []), "iexec-worker", ...args];
    const terminal = this.at([first, ...rest], options.env);
    for (const { to, type } of options.answers ?? []) {
      await terminal.shows(to, signal);
      terminal.type(type);
    }
    return terminal.end(signal);
  }

  /** One command with --json: its exit code and its answer, the last line of standard output. */
  async json(
    args: readonly string[],
    signal: AbortSignal,
    options: { readonly env?: Readonly<Record<string, string>>; readonly before?: readonly string[] } = {},
  ): Promise<{ readonly code: number; readonly data: JsonAnswer }> {
    const seen = await this.run([...args, "--json"], signal, options);
    const line = seen.text.split(/[\r\n]+/).findLast((each) => each.startsWith('{"schema"'));
    if (line === undefined) throw new Error(`${args.join(" ")} --json gave no JSON: ${seen.text.slice(-400)}`);
    return { code: seen.code, data: jsonAnswer.parse(JSON.parse(line)) };
  }

  /** The worker in the background, not started. */
  worker(extra: Readonly<Record<string, string>> = {}): WorkerProcess {
    const env = this.shellEnv({ IEXEC_WORKER_LOG_LEVEL: "debug", ...extra });
    const worker = new WorkerProcess({ address: this.address, env, logPath: join(this.home, "worker.log") });
    this.#processes.push(worker);
    return worker;
  }

  /** What is in the worker's log so far. */
  log(): Promise<string> {
    return readFile(join(this.home, "worker.log"), "utf8").catch(() => "");
  }

  async close(): Promise<void> {
    for (const terminal of this.#terminals) terminal.kill();
    await Promise.all(this.#processes.map((worker) => worker.stop()));
  }
}
