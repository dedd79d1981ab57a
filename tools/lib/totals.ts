import { z } from "zod";

/** What `./run test` says last. */
export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export const NOTHING: Totals = { passed: 0, failed: 0, skipped: 0 };

export const add = (a: Totals, b: Totals): Totals => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
});

export const render = ({ passed, failed, skipped }: Totals): string => `${passed} passed, ${failed} failed, ${skipped} skipped`;

const vitestSchema = z.object({
  success: z.boolean(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.object({ status: z.string() })) })),
});

/**
 * Counts a report of vitest's JSON reporter. A file that failed without a failed test (it did not load, or a hook failed) counts as one
 * failure, and so does a run that says it failed while every test passed.
 */
export function fromVitest(report: unknown): Totals {
  const { success, testResults } = vitestSchema.parse(report);
  let totals = NOTHING;
  for (const { status, assertionResults } of testResults) {
    const count = (wanted: readonly string[]): number => assertionResults.filter((result) => wanted.includes(result.status)).length;
    const passed = count(["passed"]);
    const failed = count(["failed"]);
    const lost = status === "failed" && failed === 0 ? 1 : 0;
    totals = add(totals, { passed, failed: failed + lost, skipped: assertionResults.length - passed - failed });
  }
  return success || totals.failed > 0 ? totals : { ...totals, failed: 1 };
}

const e2eSchema = z.object({ passed: z.int().min(0), skipped: z.int().min(0).default(0), total: z.int().min(0) });

/** Counts what an e2e run printed: its last line of standard output. Anything that is not a full report is one failure. */
export function fromE2e({ code, stdout }: { readonly code: number; readonly stdout: string }): Totals {
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  let parsed: unknown;
  try {
    parsed = JSON.parse(last);
  } catch {
    return { ...NOTHING, failed: 1 };
  }
  const report = e2eSchema.safeParse(parsed);
  if (!report.success || report.data.passed + report.data.skipped > report.data.total || report.data.total === 0)
    return { ...NOTHING, failed: 1 };
  const { passed, skipped, total } = report.data;
  const failed = total - passed - skipped;
  return { passed, failed: code !== 0 && failed === 0 ? 1 : failed, skipped };
}
