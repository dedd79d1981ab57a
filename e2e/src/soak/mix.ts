import type { Random } from "@iexec-ts/service";

/** What is bought. All but `exit` can be completed: an image or input that is not there is contributed as an error, and paid. */
export const KINDS = ["plain", "trust-5", "callback", "large", "no-image", "no-input", "exit"] as const;
export type Kind = (typeof KINDS)[number];

/** Tasks bought in one deal. */
export interface Lot {
  readonly kind: Kind;
  readonly volume: number;
}

const lots = (kind: Kind, count: number, volume: number): readonly Lot[] => Array.from({ length: count }, () => ({ kind, volume }));

/** Thirty tasks, most of them plain; the 50 MB one costs as much as the rest, so that every other round goes without. */
const ROUND: readonly Lot[] = [
  ...lots("plain", 7, 3),
  ...lots("trust-5", 3, 1),
  ...lots("callback", 1, 3),
  ...lots("no-image", 1, 1),
  ...lots("no-input", 1, 1),
  ...lots("exit", 1, 1),
];
const LARGE: Lot = { kind: "large", volume: 1 };

export function shuffled<T>(items: readonly T[], random: Random): readonly T[] {
  const left = [...items];
  const mixed: T[] = [];
  while (left.length > 0) mixed.push(...left.splice(Math.floor(random.float() * left.length), 1));
  return mixed;
}

/** What to buy, without end; the first thirty-one tasks hold every kind. */
export function* mix(random: Random): Generator<Lot, never> {
  for (let round = 0; ; round += 1) yield* shuffled(round % 2 === 0 ? [...ROUND, LARGE] : ROUND, random);
}
