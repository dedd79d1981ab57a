import type { ComponentHealth, Stall } from "@iexec-ts/service";
import type { Standing } from "../standing.ts";

const nameOf = ({ loop, of }: Stall): string => (of === undefined ? loop : `${loop} ${of}`);

/** DOWN while a loop stands still; afterwards UP, with what stood still in the last hour. */
export function loopsHealth({ stalls, stuck }: Standing): ComponentHealth {
  const standing = stalls.filter(({ mendedAt }) => mendedAt === undefined);
  const [last] = stalls;
  return {
    status: standing.length > 0 ? "DOWN" : "UP",
    details: {
      standing: standing.length,
      mendedLastHour: stalls.length - standing.length,
      stuckTasks: stuck.length,
      ...(last === undefined ? {} : { last: nameOf(last), since: last.since.toISOString(), restarts: last.restarts }),
    },
  };
}
