import type { Address } from "@iexec-ts/poco";

/** `iexec_errors_total` by program and code. */
export type Errors = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** What a soak found. */
export interface Findings {
  /** Whether processes were killed, so that what follows from a kill is only told. */
  readonly kill: boolean;
  readonly completed: number;
  readonly stuck: number;
  readonly leftovers: readonly string[];
  readonly crashes: readonly string[];
  /** Processes that ran when they were told to end, and did not end with 0. */
  readonly hungStops: readonly string[];
  /** Tasks that the contracts opened again because nobody revealed in time. */
  readonly reopened: readonly string[];
  /** Workers without a contribution in the last third of the buying; empty for a short run. */
  readonly idleWorkers: readonly string[];
  /** Replicates that a worker's journal still holds open when all is over. */
  readonly openReplicates: readonly string[];
  readonly errors: Errors;
}

/** A shorter run has too few tasks for a worker to be missed in a third of it. */
const IDLE_FROM_MINUTES = 5;
const STAKE_LOST = ["WRK-1316"];
/** A loop stood still, ended by itself, or a decision stood still. */
const STALLS = ["SVC-1501", "SVC-1502", "SCH-1403"];

const countOf = (errors: Errors, codes: readonly string[]): number =>
  Object.values(errors)
    .flatMap((byCode) => codes.map((code) => byCode[code] ?? 0))
    .reduce((sum, count) => sum + count, 0);

export const stakeLostIn = (errors: Errors): number => countOf(errors, STAKE_LOST);
export const stallsIn = (errors: Errors): number => countOf(errors, STALLS);

/**
 * Workers that others worked for.
 *
 * @param lastContributions - of each worker at the end of the buying, in milliseconds as `buying`; addresses in lower case
 */
export function idleIn(
  buying: { readonly beganMs: number; readonly endedMs: number },
  workers: readonly { readonly name: string; readonly address: Address }[],
  lastContributions: ReadonlyMap<string, number>,
): readonly string[] {
  const spent = buying.endedMs - buying.beganMs;
  if (spent < IDLE_FROM_MINUTES * 60_000) return [];
  const since = buying.endedMs - spent / 3;
  return workers.filter(({ address }) => (lastContributions.get(address.toLowerCase()) ?? 0) < since).map(({ name }) => name);
}

/** Why the run is not `ok`, each in one line; none when it is. */
export function reasonsAgainst(found: Findings): readonly string[] {
  const { kill, errors } = found;
  const listed = (what: string, items: readonly string[]): readonly string[] =>
    items.length === 0 ? [] : [`${items.length} ${what}: ${items.join("; ")}`];
  const counted = (what: string, count: number): readonly string[] => (count === 0 ? [] : [`${count} ${what}`]);
  return [
    ...(found.completed === 0 ? ["no task was completed"] : []),
    ...counted("tasks stuck", found.stuck),
    ...listed("left behind", found.leftovers),
    ...listed("crashes", found.crashes),
    ...listed("did not end in order when told to", found.hungStops),
    ...listed("workers without a contribution in the last third", found.idleWorkers),
    ...listed("replicates still open in a journal", found.openReplicates),
    ...(kill
      ? []
      : [
          ...listed("tasks opened again because nobody revealed", found.reopened),
          ...counted(`stakes lost (${STAKE_LOST.join()})`, stakeLostIn(errors)),
          ...counted(`stalls (${STALLS.join()})`, stallsIn(errors)),
        ]),
  ];
}
