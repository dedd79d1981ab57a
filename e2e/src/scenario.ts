import { within } from "./waiting.ts";

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
  /** How long `open` may take, in milliseconds. @default 300000 */
  readonly openMs?: number;
  /** How long `close` may take, in milliseconds. @default 120000 */
  readonly closeMs?: number;
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
const OPEN_MS = 300_000;
const CLOSE_MS = 120_000;
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
    await runOpened(set, chosen, options.signal, add).catch((thrown: unknown) => {
      for (const { id } of chosen.slice(cases.length)) add({ id, ok: false, detail: detailOf(thrown) });
      // A set whose parts do not end is not as promised, also when each of its scenarios was.
      if (cases.every(({ ok, skipped }) => ok || skipped)) add({ id: "close", ok: false, detail: detailOf(thrown) });
    });
  }
  const passed = cases.filter((c) => c.ok).length;
  const skipped = cases.filter((c) => c.skipped).length;
  return { name: set.name, passed, skipped, total: cases.length, seconds: Math.round((performance.now() - started) / 100) / 10, cases };
}

async function runOpened<Context>(
  set: ScenarioSet<Context>,
  chosen: readonly Scenario<Context>[],
  signal: AbortSignal,
  add: (report: CaseReport) => void,
): Promise<void> {
  const { context, close } = await within({ what: "opening the set", limitMs: set.openMs ?? OPEN_MS, signal }, (stop) => set.open(stop));
  try {
    for (const scenario of chosen) {
      signal.throwIfAborted();
      add(await runScenario(scenario, context, signal));
    }
  } finally {
    // Also after Ctrl-C: what was opened is closed.
    await within({ what: "closing the set", limitMs: set.closeMs ?? CLOSE_MS }, close);
  }
}

async function runScenario<Context>(scenario: Scenario<Context>, context: Context, signal: AbortSignal): Promise<CaseReport> {
  const { id, timeoutMs = DEFAULT_TIMEOUT_MS } = scenario;
  try {
    return { id, ok: true, detail: await within({ what: "it", limitMs: timeoutMs, signal }, (stop) => scenario.run(context, stop)) };
  } catch (thrown) {
    if (thrown instanceof SkipScenario) return { id, ok: false, skipped: true, detail: detailOf(thrown) };
    return { id, ok: false, detail: detailOf(thrown) };
  }
}
