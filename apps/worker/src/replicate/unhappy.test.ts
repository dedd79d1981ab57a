import { canFollow, REPLICATE_STATUSES, type ReplicateStatus } from "@iexec-ts/poco";
import { countErrors, createLogger, createMetrics } from "@iexec-ts/service";
import { expect, test } from "vitest";
import { z } from "zod";
import { StageWorld, TASK } from "./test/stage-world.ts";
import { tellUnhappy, UNHAPPY } from "./unhappy.ts";

/** Written down without looking at the table. */
const IS_UNHAPPY = /FAILED|TIMEOUT|^CANT_|^ABORTED|OUT_OF_GAS|LOST/;
const lineSchema = z.object({
  level: z.enum(["warn", "error"]),
  taskId: z.literal(TASK),
  error: z.object({ code: z.string().regex(/^WRK-\d{4}$/), fix: z.string().min(10), message: z.string() }),
});

/** The shortest legal way from CREATED that meets no other unhappy status, if there is one; else any. */
function wayTo(wanted: ReplicateStatus): readonly ReplicateStatus[] {
  const search = (may: (status: ReplicateStatus) => boolean): readonly ReplicateStatus[] | undefined => {
    const ways: (readonly ReplicateStatus[])[] = [["CREATED"]];
    const seen = new Set<ReplicateStatus>(["CREATED"]);
    for (const way of ways) {
      const from = way.at(-1) ?? "CREATED";
      if (from === wanted) return way;
      for (const to of REPLICATE_STATUSES.filter((next) => canFollow(from, next) && !seen.has(next) && (next === wanted || may(next)))) {
        seen.add(to);
        ways.push([...way, to]);
      }
    }
    return undefined;
  };
  return search((status) => !IS_UNHAPPY.test(status)) ?? search(() => true) ?? [];
}

test("the table says something of every unhappy status and of no other", () => {
  expect(REPLICATE_STATUSES.filter((status) => UNHAPPY[status] !== undefined)).toEqual(
    REPLICATE_STATUSES.filter((status) => IS_UNHAPPY.test(status)),
  );
});

test.each(REPLICATE_STATUSES)(
  "%s: an unhappy status leaves one line with code, task and fix, counted once; another leaves none",
  async (status) => {
    const world = new StageWorld();
    const metrics = createMetrics("test_");
    const lines: string[] = [];
    tellUnhappy(
      world.journal,
      countErrors(createLogger({ level: "warn", destination: { write: (line) => void lines.push(line) } }), metrics),
    );
    const way = wayTo(status).slice(1);
    for (const step of way) world.journal.record(TASK, step, { cause: "CHAIN_REFUSED", details: { errorMessage: "planted" } });
    await world.close();
    const unhappy = way.filter((step) => IS_UNHAPPY.test(step));
    const told = lines.map((line) => lineSchema.parse(JSON.parse(line)));
    expect(told.map(({ error }) => error.code)).toEqual(unhappy.map((step) => UNHAPPY[step]?.code));
    const counted = (await metrics.text()).split("\n").flatMap((line) => /^iexec_errors_total\{.*\} (\d+)$/.exec(line)?.[1] ?? []);
    expect(counted.reduce((sum, count) => sum + Number(count), 0)).toBe(unhappy.length);
  },
);
