import { CATALOGUE, type ErrorCode } from "@iexec-ts/service";
import { z } from "zod";
import type { JsonAnswer } from "./operator.ts";
import type { Seen } from "./terminal.ts";

/** Documented exit codes. @source docs/run/cli.md */
export const EXIT = { ok: 0, failed: 1, usage: 2, person: 3, temporary: 4, refused: 5 } as const;

const TAIL = 600;

export function must(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new Error(otherwise);
}

export function mustBe<T>(what: string, got: T, wanted: T): void {
  must(got === wanted, `${what} is ${String(got)}, expected ${String(wanted)}`);
}

/** Ended with this exit code. */
export function mustEnd<T extends Seen>(seen: T, code: number): T {
  must(seen.code === code, `ended with ${seen.code} instead of ${code}: ${seen.text.slice(-TAIL)}`);
  return seen;
}

/** Refused with a coded error that says what to do. */
export function mustRefuse(seen: Seen, exit: number, code: ErrorCode): Seen {
  mustEnd(seen, exit);
  must(seen.text.includes(`${code}: `), `does not say ${code}: ${seen.text.slice(-TAIL)}`);
  const advice = CATALOGUE[code].fix.split("{")[0] ?? "";
  must(flat(seen.text).includes(flat(advice)), `does not say what to do (${advice}): ${seen.text.slice(-TAIL)}`);
  must(!/^\s+at .*:\d+/m.test(seen.text), `shows a stack: ${seen.text.slice(-TAIL)}`);
  return seen;
}

export function mustShow(seen: Pick<Seen, "text">, ...parts: readonly (string | RegExp)[]): void {
  for (const part of parts) {
    const there = typeof part === "string" ? seen.text.includes(part) : part.test(seen.text);
    must(there, `does not show ${String(part)}: ${seen.text.slice(-TAIL)}`);
  }
}

export function mustHide(seen: Pick<Seen, "text">, ...parts: readonly string[]): void {
  for (const part of parts) must(!seen.text.includes(part), `shows what it must not show (${part.slice(0, 6)}...)`);
}

const flat = (text: string): string => text.replace(/\s+/g, " ");

const reasonSchema = z.object({ id: z.string(), blocks: z.boolean(), text: z.string(), evidence: z.string() });
export type ShownReason = z.output<typeof reasonSchema>;

/** The reasons of `why-idle --json`, most likely first. */
export const reasonsOf = (data: JsonAnswer): readonly ShownReason[] => z.array(reasonSchema).parse(data.reasons);

const checkSchema = z.object({
  id: z.string(),
  verdict: z.enum(["PASS", "FAIL", "WARN", "SKIP", "INFO"]),
  seen: z.string(),
  cause: z.string().nullable(),
  fix: z.string().nullable(),
});
export type ShownCheck = z.output<typeof checkSchema>;

/** The checks of `doctor --json`. */
export const checksOf = (data: JsonAnswer): readonly ShownCheck[] => z.array(checkSchema).parse(data.checks);
