import fc from "fast-check";
import { expect, test } from "vitest";
import { sumsByDay } from "../cli/money/earnings.ts";
import type { Entry } from "../cli/money/movements.ts";
import { total } from "../cli/money/summary.ts";
import { carried } from "./today.ts";

const KEY = "2026-01-02";
const NOON = new Date(`${KEY}T12:00:00Z`);

test("a day that is added up look by look is what it is read in one go", () => {
  const movement = fc.record({ block: fc.bigInt(1n, 60n), amount: fc.bigInt(1n, 10n ** 12n), kind: fc.constantFrom("reward", "seize") });
  fc.assert(
    fc.property(fc.array(movement, { maxLength: 40 }), fc.array(fc.bigInt(1n, 60n), { maxLength: 6 }), (movements, looks) => {
      const all = movements.map(
        ({ block, amount, kind }, n): Entry => ({
          kind,
          block,
          amount,
          taskId: `0x${String(n).padStart(64, "0")}`,
          transaction: "0x",
          logIndex: n,
        }),
      );
      const times = new Map(all.map(({ block }) => [block, NOON]));
      let read: { sum: ReturnType<typeof total>; entries: readonly Entry[]; times: ReadonlyMap<bigint, Date> } | undefined;
      let from = 0n;
      for (const head of [...looks.sort((a, b) => Number(a - b)), 60n]) {
        const entries = all.filter(({ block }) => block >= from && block <= head);
        read = { sum: carried(read, from, KEY), entries, times };
        from = head - 5n > from ? head - 5n : from;
      }
      const { key: _, ...sum } = total([
        ...(read === undefined ? [] : [read.sum]),
        ...sumsByDay({ entries: read?.entries ?? [], times }, []),
      ]);
      const { key: __, ...whole } = total(sumsByDay({ entries: all, times }, []));
      expect(sum).toEqual(whole);
    }),
  );
});
