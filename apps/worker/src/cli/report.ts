import type { Style } from "./view/style.ts";

/** Documented in docs/run/cli.md; @source operator-experience.md 4.3 */
export const EXIT = { ok: 0, failed: 1, usage: 2, operator: 3, temporary: 4, refused: 5 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** Plain data; amounts are decimal strings of the smallest unit, moments ISO texts. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** What a command found out: the same facts for a program and for a person. */
export interface Report {
  readonly data: { readonly [key: string]: Json };
  /** For a person, without a final line break. */
  readonly text: (style: Style) => string;
  /** Commands worth running next, best first. */
  readonly next?: readonly string[];
  readonly exit?: ExitCode;
}

/** Version of the JSON answers; grows when a member changes its meaning or goes away. */
export const SCHEMA = 1;
