import { CodedError } from "@iexec-ts/service";
import { type Context, type Input, switchOption } from "../context.ts";
import { localFacts } from "../facts/local-facts.ts";
import { EXIT, type Json, type Report } from "../report.ts";
import type { Level } from "../view/style.ts";
import { type Check, type DoctorState, type Outcome, skip, type Verdict } from "./check.ts";
import { HOST_CHECKS } from "./host-checks.ts";
import { LOOP_CHECKS } from "./loop-checks.ts";
import { NETWORK_CHECKS } from "./network-checks.ts";
import { teeChecks } from "./tee-checks.ts";

const MARK: Readonly<Record<Verdict, Level>> = { PASS: "ok", FAIL: "bad", WARN: "warn", SKIP: "skip", INFO: "note" };

interface Line extends Outcome {
  readonly id: string;
  readonly title: string;
}

/** Runs the checks in order; one that cannot run without another is skipped and says so. */
export async function runChecks(checks: readonly Check[], context: Context, state: DoctorState): Promise<readonly Line[]> {
  const lines: Line[] = [];
  for (const { id, title, after = [], run } of checks) {
    context.signal.throwIfAborted();
    const blocker = after.find((needed) =>
      lines.some((line) => line.id === needed && (line.verdict === "FAIL" || (line.verdict === "SKIP" && needed !== "wallet-password"))),
    );
    context.tell(`  checking ${title}...`);
    const outcome = blocker === undefined ? await run(context, state).catch(asOutcome) : skip(`after ${blocker} is right`);
    lines.push({ id, title, ...outcome });
  }
  return lines;
}

function asOutcome(thrown: unknown): Outcome {
  const error = CodedError.from(thrown);
  return { verdict: "FAIL", seen: `${error.code} ${error.message}`, fix: error.fix };
}

/** SIDE EFFECTS: with --fix creates folders, closes the wallet file to others and writes firewall rules; otherwise only looks. */
export async function doctor(context: Context, input: Input): Promise<Report> {
  const local = await localFacts(context);
  const lines = await runChecks([...HOST_CHECKS, ...(await teeChecks(context.settings)), ...NETWORK_CHECKS, ...LOOP_CHECKS], context, {
    local,
    repair: switchOption(input, "fix"),
  });
  const failures = lines.filter(({ verdict }) => verdict === "FAIL");
  const warnings = lines.filter(({ verdict }) => verdict === "WARN");
  const width = Math.max(...lines.map(({ title }) => title.length));
  return {
    data: {
      healthy: failures.length === 0,
      failed: failures.length,
      warned: warnings.length,
      checks: lines.map(
        (line): Json => ({ id: line.id, verdict: line.verdict, seen: line.seen, cause: line.cause ?? null, fix: line.fix ?? null }),
      ),
    },
    text: (style) =>
      [
        ...lines.flatMap(({ verdict, title, seen, cause, fix }) => [
          `${style.mark(MARK[verdict])} ${verdict}  ${title.padEnd(width)}  ${seen}`,
          ...(cause === undefined ? [] : [`         ${" ".repeat(width)}  why: ${cause}`]),
          ...(fix === undefined ? [] : [`         ${" ".repeat(width)}  -> ${fix}`]),
        ]),
        "",
        failures.length === 0
          ? `${style.mark("ok")} ${style.strong("Ready to work")}${warnings.length > 0 ? `, ${warnings.length} to look at` : ""}`
          : `${style.mark("bad")} ${style.strong(`${failures.length} to fix`)}: ${failures.map(({ title }) => title).join(", ")}`,
      ].join("\n"),
    exit: failures.length === 0 ? EXIT.ok : EXIT.operator,
    next:
      failures.length === 0
        ? [local.running.kind === "running" ? "iexec-worker status" : "iexec-worker start"]
        : ["iexec-worker doctor --fix"],
  };
}
