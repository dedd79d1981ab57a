import type { Context, Input } from "./context.ts";
import type { Report } from "./report.ts";

export type Run = (context: Context, input: Input) => Promise<Report>;

/** One command as data: help, completion and the documentation are made from it. */
export interface CommandSpec {
  /** Noun, then verb. */
  readonly path: readonly [string, ...string[]];
  readonly summary: string;
  /** `<needed>` or `[optional]`, with what it is. */
  readonly args?: readonly (readonly [string, string])[];
  readonly options?: readonly (readonly [string, string])[];
  readonly examples: readonly string[];
  /** May be repeated until Ctrl-C with --watch. */
  readonly watch?: boolean;
  /** Not offered: it is what a bare call runs. */
  readonly hidden?: boolean;
  /** Loaded when it runs, so that `start` and help stay quick. */
  readonly load: () => Promise<Run>;
}
