import type { CodedError } from "@iexec-ts/service";
import type { Doing } from "../../control/doing.ts";
import { loopWords } from "../../loop-words.ts";
import type { StakeLock } from "../../wallet/locks.ts";
import type { OperatorSettings } from "../settings.ts";
import { rlc } from "../view/amounts.ts";
import { relative, span } from "../view/time.ts";
import type { LocalFacts } from "./local-facts.ts";

/** One thing that waits for a person. */
export interface Need {
  readonly level: "bad" | "warn";
  readonly text: string;
  readonly command?: string;
}

/** What is looked at to find out; undefined where it is not known. */
export interface NeedSources {
  readonly local: LocalFacts;
  readonly settings: Pick<OperatorSettings, "minFreeMib" | "baseDir" | "walletPath">;
  readonly freeMib: number | undefined;
  readonly locks: readonly StakeLock[];
  readonly native: bigint | undefined;
  readonly stake: bigint | undefined;
  /** Why the chain could not be read. */
  readonly problem: CodedError | undefined;
  readonly now: Date;
}

/** What does not move. Pure. */
export function standingNeeds(doing: Pick<Doing, "stalls" | "stuck"> | undefined, now: Date): readonly Need[] {
  const { stalls, stuck } = doing ?? { stalls: [], stuck: [] };
  const still = stalls.filter(({ mendedAt }) => mendedAt === undefined);
  return [
    ...still.map(
      (stall): Need => ({
        level: "bad",
        text: `${loopWords(stall)} has stood still for ${span(now.getTime() - stall.since.getTime())}; it was started again ${times(stall.restarts)} and still does not move: stop and start the worker, what is under way goes on`,
        command: "iexec-worker stop",
      }),
    ),
    ...stuck
      .filter(({ taskId }) => !still.some(({ of }) => of === taskId))
      .map(
        ({ taskId, status, since, because }): Need => ({
          level: "bad",
          text: `task ${taskId} stands in ${status} for ${span(now.getTime() - since.getTime())}: ${because}`,
          command: `iexec-worker task show ${taskId}`,
        }),
      ),
    ...stalls
      .filter(({ mendedAt }) => mendedAt !== undefined)
      .map(
        (stall): Need => ({
          level: "warn",
          text: `${loopWords(stall)} stood still ${relative(stall.since, now)} and was started again ${times(stall.restarts)}; it goes on by itself and nothing is lost, but it should not happen: send a support bundle to the developers`,
          command: "iexec-worker support bundle",
        }),
      ),
  ];
}

const times = (count: number): string => (count === 1 ? "once" : `${count} times`);

/** What needs the operator, money at risk first. Pure. */
export function needsOf(sources: NeedSources): readonly Need[] {
  const { local, settings, freeMib, locks, native, stake, problem, now } = sources;
  const needs: Need[] = [];
  const unrevealed = locks.filter(({ revealBefore, revealed }) => revealBefore !== undefined && !revealed);
  const atRisk = unrevealed.reduce((sum, { amount }) => sum + amount, 0n);
  const [first] = unrevealed;
  if (local.running.kind === "stopped" && first?.revealBefore !== undefined)
    needs.push({
      level: "bad",
      text: `${rlc(atRisk)} of stake is lost unless the worker reveals ${unrevealed.length} results, the first ${relative(first.revealBefore, now)}`,
      command: "iexec-worker start",
    });
  else if (local.running.kind === "stopped" && locks.length > 0)
    needs.push({ level: "warn", text: `${locks.length} tasks hold stake and the worker does not run`, command: "iexec-worker start" });
  if (local.walletProblem !== undefined)
    needs.push({
      level: "bad",
      text: `${local.walletProblem.message} (${local.walletProblem.code})`,
      command: "iexec-worker wallet create",
    });
  if (problem !== undefined)
    needs.push({ level: "bad", text: `the chain cannot be read: ${problem.message} (${problem.code})`, command: "iexec-worker doctor" });
  if (local.running.kind === "running" && local.running.page?.link === "down")
    needs.push({ level: "bad", text: "the scheduler is not reached: no new tasks, nothing is lost", command: "iexec-worker doctor" });
  if (local.running.kind === "running" && typeof local.running.page?.halted === "string")
    needs.push({ level: "bad", text: `the worker takes no more tasks (${local.running.page.halted})`, command: "iexec-worker why-idle" });
  if (local.running.kind === "running") needs.push(...standingNeeds(local.running.doing ?? local.running.page?.doing, now));
  if (freeMib !== undefined && freeMib < settings.minFreeMib)
    needs.push({
      level: "warn",
      text: `${freeMib} MiB free in ${settings.baseDir}, below the ${settings.minFreeMib} MiB it takes to ask for tasks (WRK-1003)`,
      command: "iexec-worker image prune --dry-run",
    });
  if (native === 0n) needs.push({ level: "bad", text: "the wallet has nothing to pay gas with", command: "iexec-worker wallet show" });
  if (stake === 0n && locks.length === 0)
    needs.push({
      level: "warn",
      text: "no free stake: tasks of most pools will be refused",
      command: "iexec-worker wallet deposit AMOUNT",
    });
  return needs;
}
