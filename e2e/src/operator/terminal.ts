import { stripVTControlCharacters } from "node:util";
import { type IPty, spawn } from "@lydell/node-pty";

const COLUMNS = 160;
const ROWS = 50;
const TAIL = 500;

/** What a person answers when the terminal shows `to`. */
export interface Answer {
  readonly to: RegExp;
  /** Typed, then Enter. */
  readonly type: string;
}

export interface Seen {
  readonly code: number;
  /** Everything that appeared, without colours. */
  readonly text: string;
  /** The same with its control sequences. */
  readonly raw: string;
}

/** A program at a real terminal: it sees a TTY, and what it shows is what a person would see. */
export class Terminal {
  readonly #pty: IPty;
  #raw = "";
  #read = 0;
  #code: number | undefined;
  #heard = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<void>();

  /** SIDE EFFECTS: starts the program. @param onEnd - gets the whole transcript */
  constructor(
    line: readonly [string, ...string[]],
    options: { readonly env: Readonly<Record<string, string>>; readonly cwd: string; readonly onEnd: (raw: string) => void },
  ) {
    const [program, ...args] = line;
    const { TERM: name = "xterm-256color" } = options.env;
    this.#pty = spawn(program, args, { name, cols: COLUMNS, rows: ROWS, cwd: options.cwd, env: { ...options.env } });
    this.#pty.onData((text) => {
      this.#raw += text;
      this.#hear();
    });
    this.#pty.onExit(({ exitCode, signal }) => {
      this.#code = signal === undefined || signal === 0 ? exitCode : 128 + signal;
      options.onEnd(this.#raw);
      this.#ended.resolve();
      this.#hear();
    });
  }

  get pid(): number {
    return this.#pty.pid;
  }

  get text(): string {
    return stripVTControlCharacters(this.#raw).replaceAll("\r\n", "\n");
  }

  /** Waits until something new is shown that fits, and reads on behind it. */
  async shows(pattern: RegExp, signal: AbortSignal): Promise<RegExpExecArray> {
    const stop = () => this.#hear();
    signal.addEventListener("abort", stop, { once: true });
    try {
      for (;;) {
        const heard = this.#heard.promise;
        const found = pattern.exec(this.text.slice(this.#read));
        if (found !== null) {
          this.#read += found.index + found[0].length;
          return found;
        }
        if (signal.aborted || this.#code !== undefined) throw new Error(`never showed ${pattern}; last: ${this.text.slice(-TAIL)}`);
        await heard;
      }
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** Types a line. */
  type(line: string): void {
    this.#pty.write(`${line}\r`);
  }

  /** One key, such as \u0003 for Ctrl-C. */
  press(key: string): void {
    this.#pty.write(key);
  }

  async end(signal: AbortSignal): Promise<Seen> {
    const given = Promise.withResolvers<never>();
    const giveUp = () => given.reject(new Error(`did not end; last: ${this.text.slice(-TAIL)}`));
    if (signal.aborted) giveUp();
    signal.addEventListener("abort", giveUp, { once: true });
    given.promise.catch(() => undefined);
    try {
      await Promise.race([this.#ended.promise, given.promise]);
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
    return { code: this.#code ?? -1, text: this.text, raw: this.#raw };
  }

  /** Idempotent. */
  kill(): void {
    if (this.#code === undefined) this.#pty.kill("SIGKILL");
  }

  #hear(): void {
    this.#heard.resolve();
    this.#heard = Promise.withResolvers();
  }
}
