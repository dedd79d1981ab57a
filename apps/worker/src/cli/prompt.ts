import { createInterface } from "node:readline/promises";
import type { Readable, Writable } from "node:stream";
import { CodedError, Redacted } from "@iexec-ts/service";

const MAX_INPUT_CHARACTERS = 64 * 1_024;

export interface Prompter {
  /** False when nobody is there to ask: a pipe, or `--no-input`. */
  readonly available: boolean;
  /** Errors: WRK-2002 when nobody can be asked; `flag` is what to give instead. */
  ask(question: string, flag: string): Promise<string>;
  /** The same without showing what is typed. Standard input is read whole instead when it is a pipe and `pipe` allows it. */
  askSecret(question: string, flag: string, options?: { readonly pipe?: boolean }): Promise<Redacted<string>>;
}

interface Terminal extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
}

/**
 * Asks the person at the terminal; questions go to standard error, so that standard output stays data.
 *
 * SIDE EFFECTS: reads standard input.
 */
export function terminalPrompter(
  streams: { readonly input: Terminal; readonly output: Writable },
  options: { readonly noInput: boolean; readonly signal: AbortSignal },
): Prompter {
  const { input, output } = streams;
  const available = input.isTTY === true && !options.noInput;
  const nobody = (what: string, flag: string) => new CodedError("WRK-2002", { what: what.toLowerCase().replace(/[:?]\s*$/, ""), flag });
  return {
    available,
    async ask(question, flag) {
      if (!available) throw nobody(question, flag);
      const line = createInterface({ input, output, terminal: true });
      try {
        return (await line.question(`${question} `, { signal: options.signal })).trim();
      } finally {
        line.close();
      }
    },
    async askSecret(question, flag, { pipe = false } = {}) {
      if (available) return new Redacted(await typedUnseen(input, output, question, options.signal));
      if (!pipe || input.isTTY === true) throw nobody(question, flag);
      const piped = await readAll(input);
      if (piped === "") throw nobody(question, flag);
      return new Redacted(piped);
    },
  };
}

async function readAll(input: Readable): Promise<string> {
  let text = "";
  for await (const chunk of input) {
    text += String(chunk);
    if (text.length > MAX_INPUT_CHARACTERS) throw new CodedError("WRK-2002", { what: "a shorter input", flag: "standard input" });
  }
  return text.trim();
}

const ENTER = ["\r", "\n"];
const ERASE = ["\u007f", "\b"];
const INTERRUPT = "\u0003";
const END = "\u0004";

/** Reads a line in raw mode, so that the terminal never shows it. */
function typedUnseen(input: Terminal, output: Writable, question: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed = "";
    const finish = (done: () => void) => {
      input.off("data", onData);
      signal.removeEventListener("abort", onAbort);
      input.setRawMode?.(false);
      input.pause();
      output.write("\n");
      done();
    };
    const onAbort = () => finish(() => reject(signal.reason));
    const onData = (chunk: unknown) => {
      for (const character of String(chunk)) {
        if (ENTER.includes(character) || character === END) return finish(() => resolve(typed));
        if (character === INTERRUPT) return finish(() => reject(new CodedError("WRK-2004", { what: "the question was left" })));
        if (ERASE.includes(character)) typed = [...typed].slice(0, -1).join("");
        else if (character >= " ") typed += character;
      }
    };
    // First the echo goes, then the question comes: who answers at once must not be shown.
    input.setRawMode?.(true);
    input.on("data", onData);
    input.resume();
    output.write(`${question} `);
    signal.addEventListener("abort", onAbort, { once: true });
  });
}
