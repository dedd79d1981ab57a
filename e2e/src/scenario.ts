/** One thing that is tried for real. */
export interface Scenario<Context> {
  /** Stable name, shown in the report. */
  readonly id: string;
  /** Also part of the short form that `./run test` runs. */
  readonly short?: boolean;
  /** @default 120000 */
  readonly timeoutMs?: number;
  /** Returns what was seen, in a few words; throws when it is not as promised. */
  run(context: Context, signal: AbortSignal): Promise<string>;
}

/** Scenarios that share a running network. */
export interface ScenarioSet<Context = unknown> {
  readonly name: string;
  readonly summary: string;
  readonly scenarios: readonly Scenario<Context>[];
  open(signal: AbortSignal): Promise<{ readonly context: Context; close(): Promise<void> }>;
}

/** Thrown by a scenario, or by the opening of its set, that cannot be tried on this machine. */
export class SkipScenario extends Error {}

export interface CaseReport {
  readonly id: string;
  readonly ok: boolean;
  /** Not tried, for the reason in `detail`: neither passed nor failed. */
  readonly skipped?: true;
  readonly detail: string;
}

export interface SetReport {
  readonly name: string;
  readonly passed: number;
  /** Part of `total`. */
  readonly skipped: number;
  readonly total: number;
  readonly seconds: number;
  readonly cases: readonly CaseReport[];
}

const DEFAULT_TIMEOUT_MS = 120_000;
const MAX_DETAIL = 600;

const detailOf = (thrown: unknown): string => (thrown instanceof Error ? `${thrown.message}` : String(thrown)).slice(0, MAX_DETAIL);

/** Runs a set one scenario after the other; a scenario that cannot run counts as not ok. */
export async function runSet<Context>(
  set: ScenarioSet<Context>,
  options: {
    readonly short: boolean;
    readonly only?: readonly string[];
    readonly say: (text: string) => void;
    readonly signal: AbortSignal;
  },
): Promise<SetReport> {
  const started = performance.now();
  const chosen = set.scenarios.filter(
    (s) => (!options.short || s.short === true) && (options.only === undefined || options.only.includes(s.id)),
  );
  const cases: CaseReport[] = [];
  const add = (report: CaseReport) => {
    cases.push(report);
    options.say(`${report.ok ? "ok  " : report.skipped ? "SKIP" : "FAIL"} ${set.name}/${report.id}: ${report.detail}`);
  };
  if (chosen.length > 0) {
    try {
      const { context, close } = await set.open(options.signal);
      try {
        for (const scenario of chosen) add(await runScenario(scenario, context, options.signal));
      } finally {
        await close();
      }
    } catch (thrown) {
      for (const { id } of chosen.slice(cases.length)) add({ id, ok: false, detail: detailOf(thrown) });
    }
  }
  const passed = cases.filter((c) => c.ok).length;
  const skipped = cases.filter((c) => c.skipped).length;
  return { name: set.name, passed, skipped, total: cases.length, seconds: Math.round((performance.now() - started) / 100) / 10, cases };
}

async function runScenario<Context>(scenario: Scenario<Context>, context: Context, signal: AbortSignal): Promise<CaseReport> {
  const limit = AbortSignal.timeout(scenario.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const either = AbortSignal.any([signal, limit]);
  const tooLong = new Promise<never>((_, reject) => either.addEventListener("abort", () => reject(either.reason), { once: true }));
  tooLong.catch(() => undefined);
  try {
    return { id: scenario.id, ok: true, detail: await Promise.race([scenario.run(context, either), tooLong]) };
  } catch (thrown) {
    if (thrown instanceof SkipScenario) return { id: scenario.id, ok: false, skipped: true, detail: detailOf(thrown) };
    return { id: scenario.id, ok: false, detail: limit.aborted ? `took too long; ${detailOf(thrown)}` : detailOf(thrown) };
  }
}
