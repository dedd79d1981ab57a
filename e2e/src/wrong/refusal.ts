import { fileURLToPath } from "node:url";
import { CATALOGUE, type ErrorCode } from "@iexec-ts/service";
import { type CommandOptions, processesOf, withCommand } from "../demo/command.ts";

/** Documented exit codes. @source operator-experience.md 4.3; ./run: 64 and 69 are sysexits.h */
export const EXIT = { settings: 2, person: 3, temporary: 4, unavailable: 69 } as const;

export interface Expected {
  readonly exit: number;
  /** Undefined where `./run` itself refuses, before any of our programs runs. */
  readonly code?: ErrorCode;
  /** What the message must name, so that a person knows where to look. */
  readonly names?: readonly string[];
}

const REFUSAL_LIMIT_MS = 90_000;
const APPS = ["worker", "scheduler", "result-proxy"] as const;

/** Source of a program as an operator starts it. */
export const programOf = (app: (typeof APPS)[number]): string =>
  fileURLToPath(import.meta.resolve(`@iexec-ts/${app}`)).replace(/index\.ts$/, "bin.ts");

/** Starts a program that must refuse: with this code and exit code, telling what to do, and leaving no process and no file behind. */
export async function requireRefusal(
  line: readonly [string, ...string[]] | ((folders: { readonly tmp: string }) => readonly [string, ...string[]]),
  expected: Expected,
  options: CommandOptions = {},
): Promise<string> {
  return withCommand(typeof line === "function" ? line : () => line, options, async (command) => {
    const { code, stderr } = await command.end(REFUSAL_LIMIT_MS);
    const words = stderr.slice(-800);
    if (code !== expected.exit) throw new Error(`ended with ${code} instead of ${expected.exit}: ${words}`);
    if (expected.code !== undefined) {
      if (!new RegExp(`^${expected.code}: `, "m").test(stderr)) throw new Error(`did not end with ${expected.code}: ${words}`);
      // The beginning of the advice, up to the first value that is filled in.
      const advice = CATALOGUE[expected.code].fix.split("{")[0] ?? "";
      if (!stderr.includes(advice)) throw new Error(`does not say what to do: ${words}`);
    }
    const silent = (expected.names ?? []).filter((name) => !stderr.includes(name));
    if (silent.length > 0) throw new Error(`does not name ${silent.join(", ")}: ${words}`);
    if (/^\s+at /m.test(stderr)) throw new Error(`shows a stack: ${words}`);
    const left = await processesOf(command.tmp);
    if (left.length > 0) throw new Error(`left running: ${left.join("; ")}`);
    return `${expected.code ?? "refused"}, exit ${code}`;
  });
}
