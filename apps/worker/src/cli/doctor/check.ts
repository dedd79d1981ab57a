import type { Context } from "../context.ts";
import type { LocalFacts } from "../facts/local-facts.ts";

/** `info` says what the machine offers; nothing is wrong with either answer. */
export type Verdict = "PASS" | "FAIL" | "WARN" | "SKIP" | "INFO";

export interface Outcome {
  readonly verdict: Verdict;
  /** What was seen, in one line. */
  readonly seen: string;
  readonly cause?: string;
  /** The exact thing to do. */
  readonly fix?: string;
}

/** What later checks may know because earlier ones passed. */
export interface DoctorState {
  readonly local: LocalFacts;
  readonly repair: boolean;
}

export interface Check {
  readonly id: string;
  readonly title: string;
  /** Checks that must have passed; without them this one is skipped. */
  readonly after?: readonly string[];
  run(context: Context, state: DoctorState): Promise<Outcome>;
}

export const pass = (seen: string): Outcome => ({ verdict: "PASS", seen });
export const info = (seen: string): Outcome => ({ verdict: "INFO", seen });
export const skip = (seen: string): Outcome => ({ verdict: "SKIP", seen });
export const failed = (seen: string, fix: string, cause?: string): Outcome => ({
  verdict: "FAIL",
  seen,
  fix,
  ...(cause === undefined ? {} : { cause }),
});
export const warn = (seen: string, fix: string, cause?: string): Outcome => ({ ...failed(seen, fix, cause), verdict: "WARN" });
