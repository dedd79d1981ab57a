import { addressSchema } from "@iexec-ts/poco";
import type { Clock, Logger, Pulse } from "@iexec-ts/service";
import { z } from "zod";
import type { Database } from "../store/database.ts";
import { wakeTasksOf } from "./registry.ts";

const WALLET = z.object({ wallet: addressSchema }).transform(({ wallet }) => wallet);
const NEXT = z.object({ ms: z.coerce.number().nullable() });

/** Added to the nearest expiry so that pings written together are not missed by their own second. */
const MARGIN_MS = 50;
/** Longest sleep, so that a loop that stands still is noticed soon. */
const LOOK_MS = 60_000;
export const LIVENESS_BOUND_MS = 3 * 60_000;

/**
 * Declares workers lost that have not been heard of for `lostAfterMs`, and wakes their tasks. One timer, for the nearest expiry. After a
 * start every worker gets the whole time again: nobody is blamed for our own absence, and nobody who never came back is forgotten.
 *
 * SIDE EFFECTS: writes the table workers; runs until the signal of the pulse.
 */
export async function watchLiveness(
  database: Database,
  options: {
    readonly lostAfterMs: number;
    readonly clock: Clock;
    readonly logger: Logger;
    /** Writes what was heard and not yet written: nobody is lost because we were slow. */
    readonly flush: () => Promise<void>;
  },
  pulse: Pulse,
): Promise<void> {
  const { lostAfterMs, clock, logger, flush } = options;
  const { signal } = pulse;
  const startedAt = (await database.row("SELECT now() AS at", [], z.object({ at: z.date() })))?.at ?? new Date();
  const seconds = lostAfterMs / 1_000;
  while (!signal.aborted) {
    pulse.beat();
    await flush();
    const lost = await database.transaction(async (sql) => {
      const wallets = await sql.rows(
        `UPDATE workers SET lost = true WHERE NOT lost AND greatest(last_alive, $1) <= now() - make_interval(secs => $2) RETURNING wallet`,
        [startedAt, seconds],
        WALLET,
      );
      if (wallets.length > 0) await wakeTasksOf(sql, wallets);
      return wallets;
    }, signal);
    for (const wallet of lost) logger.warn("worker lost", { wallet });
    const next = await database.row(
      `SELECT extract(epoch FROM min(greatest(last_alive, $1)) + make_interval(secs => $2) - now()) * 1000 AS ms FROM workers WHERE NOT lost`,
      [startedAt, seconds],
      NEXT,
    );
    // Without workers the first to register cannot expire before this.
    const waitMs = Math.min(LOOK_MS, lostAfterMs, Math.max(0, next?.ms ?? lostAfterMs)) + MARGIN_MS;
    await clock.sleep(waitMs, signal).catch(() => undefined);
  }
}
