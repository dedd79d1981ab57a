import type { Hub, RpcPool } from "@iexec-ts/chain";
import { type Address, type ChainTask, type ChainTime, type Contribution, lowerHex, type TaskId, workerWeight } from "@iexec-ts/poco";
import { orAborted, type Random } from "@iexec-ts/service";
import { z } from "zod";
import type { Database } from "../store/database.ts";
import { readReplicates } from "../store/replicates.ts";
import { lockTask, noteChain, readSightings, setWake } from "../store/tasks.ts";
import { type AfterCommit, applyEffects } from "./apply.ts";
import { decideTask } from "./decide.ts";
import type { ChainFacts, Moment, Patience } from "./decision.ts";

/** Rounds after which effects must have come to rest; each round sees what the one before wrote. */
const MAX_ROUNDS = 12;
const NOW = z.object({ at: z.date() });

export interface Executor {
  /** Decides one task and does what was decided, unless the signal aborts before. Returns what has to be done outside of the database. */
  evaluate(id: TaskId, signal: AbortSignal): Promise<readonly AfterCommit[]>;
}

interface Reading {
  readonly facts: ChainFacts;
  readonly chainNow: ChainTime;
  readonly block: bigint;
}

/**
 * Reads one task from the chain at one block, decides, and writes the outcome in one transaction under the task's lock.
 *
 * SIDE EFFECTS: writes the store; signals other processes at commit.
 */
export function createExecutor(deps: {
  readonly database: Database;
  readonly hub: Hub;
  readonly pool: RpcPool;
  readonly random: Random;
  readonly patience: Patience;
}): Executor {
  const { database, hub, pool, random, patience } = deps;

  const read = async (id: TaskId): Promise<Reading> => {
    const { number, timestamp } = pool.head();
    const task: ChainTask | undefined = await hub.task(id, number);
    const wallets = [...new Set((task?.contributors ?? []).map(lowerHex))];
    const entries = await Promise.all(
      wallets.map(async (wallet): Promise<[Address, Contribution]> => [wallet, await hub.contribution(id, wallet, number)]),
    );
    const contributions = new Map(entries.filter(([, { status }]) => status !== "UNSET"));
    return { facts: { task, contributions }, chainNow: timestamp, block: number };
  };

  const missingWeights = async (id: TaskId, wallets: Iterable<Address>): Promise<ReadonlyMap<Address, bigint>> => {
    const known = await readSightings(database, id);
    const unknown = [...wallets].filter((wallet) => !known.has(wallet));
    return new Map(
      await Promise.all(unknown.map(async (wallet): Promise<[Address, bigint]> => [wallet, workerWeight(await hub.score(wallet))])),
    );
  };

  return {
    async evaluate(id, signal) {
      const { facts, chainNow, block } = await orAborted(read(id), signal);
      const weights = await orAborted(missingWeights(id, facts.contributions.keys()), signal);
      return await database.transaction(async (sql) => {
        const after: AfterCommit[] = [];
        if ((await lockTask(sql, id)) === undefined) return after;
        // The database's clock: all the moments it is compared with were written by it.
        const wall = (await sql.row("SELECT now() AS at", [], NOW))?.at ?? new Date();
        const now: Moment = { chain: chainNow, wall };
        await noteChain(sql, id, facts.task, facts.contributions, weights);
        for (let round = 1; round <= MAX_ROUNDS; round += 1) {
          const task = await lockTask(sql, id);
          if (task === undefined) return after;
          const [replicates, sightings] = [await readReplicates(sql, id), await readSightings(sql, id)];
          const { effects, wakeChain, wakeWall } = decideTask({ task, replicates, sightings, chain: facts, now, patience });
          const changed = await applyEffects(sql, task, effects, { now, block, random, sightings, after });
          if (changed && round < MAX_ROUNDS) continue;
          if (!task.closed) await setWake(sql, id, wakeChain, wakeWall);
          return after;
        }
        return after;
      }, signal);
    },
  };
}
