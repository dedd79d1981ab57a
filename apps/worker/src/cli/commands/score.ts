import { workerWeight } from "@iexec-ts/poco";
import type { Context } from "../context.ts";
import { withChain } from "../facts/chain-facts.ts";
import { localFacts, needWallet } from "../facts/local-facts.ts";
import type { Report } from "../report.ts";

export interface Standing {
  readonly score: bigint;
  readonly weight: bigint;
  readonly nextWeight: bigint;
  /** Points, that is tasks done right together with other workers, to the next weight. */
  readonly missing: bigint;
}

const POINTS_PER_STEP = 3n;

/**
 * Where a score stands between two weights.
 *
 * @source IexecPoco2.contribute: weight = max(score / 3, 3) - 1, so the first step comes at 12
 */
export function standingOf(score: bigint): Standing {
  const weight = workerWeight(score);
  const nextWeight = weight + 1n;
  // Inverse of the formula: the least score whose third is the next weight plus one.
  const needed = (nextWeight + 1n) * POINTS_PER_STEP;
  return { score, weight, nextWeight, missing: needed - score };
}

/** Errors: SVC-13xx, WRK-2009, CHN-…. */
export async function score(context: Context): Promise<Report> {
  const local = await localFacts(context);
  const wallet = needWallet(local, context.settings);
  return withChain(context, local.journal, async ({ hub }) => {
    const standing = standingOf(await hub.score(wallet));
    const history = (local.journal?.replicates ?? []).map(({ status }) => status);
    const completed = history.filter((status) => status === "COMPLETED").length;
    const lost = history.filter((status) => status === "REVEAL_TIMEOUT" || status === "CANT_REVEAL").length;
    const afterFault = (standing.score * 2n) / 3n;
    return {
      data: {
        wallet,
        score: standing.score.toString(),
        weight: standing.weight.toString(),
        nextWeight: standing.nextWeight.toString(),
        missing: standing.missing.toString(),
        completed,
        lost,
      },
      text: (style) =>
        [
          `   score   ${style.strong(standing.score.toString())}`,
          `   weight  ${style.strong(standing.weight.toString())}: how much one contribution counts toward the consensus of a task`,
          `   next    weight ${standing.nextWeight} after ${standing.missing} more tasks done right together with other workers`,
          `${style.mark("warn")} a wrong or unrevealed result costs its stake and a third of the score: ${standing.score} -> ${afterFault}`,
          `   this journal: ${completed} completed, ${lost} lost`,
        ].join("\n"),
      next: ["iexec-worker earnings"],
    };
  });
}
