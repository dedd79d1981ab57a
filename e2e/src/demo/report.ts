import { z } from "zod";
import type { Ended } from "./command.ts";

const text = z.string().regex(/^0x[0-9a-f]{64}$/);
const amount = z.string().regex(/^\d+$/);
const holdings = z.record(z.string(), z.object({ address: z.string(), stake: amount, locked: amount, token: amount }));
type Holdings = z.infer<typeof holdings>;

/** What `./run demo --json` promises of one task. */
const task = z.object({
  taskId: text,
  status: z.string(),
  replicates: z.array(
    z.object({ worker: z.string(), statuses: z.array(z.object({ status: z.string(), at: z.iso.datetime() })).nonempty() }),
  ),
  digest: text,
  onChainDigest: text,
  resultPath: z.string(),
  overheadMs: z.number().nonnegative(),
});

const report = task.extend({
  tasks: z.array(task).nonempty(),
  completed: z.number(),
  blocks: z.number().positive(),
  balances: z.object({ before: holdings, after: holdings }),
});
export type DemoJson = z.infer<typeof report>;

/** The report of a run that succeeded. Errors: when it did not, or its last line on standard output is not as documented. */
export function reportOf({ code, stdout, stderr }: Ended): DemoJson {
  if (code !== 0) throw new Error(`ended with ${code}: ${stderr.slice(-500)}`);
  return report.parse(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? ""));
}

/** Errors: when a task is not completed by `workers` workers that all went to the end, with the digest that is on chain. */
export function requireCompleted(tasks: DemoJson["tasks"], workers: number): void {
  for (const { taskId, status, replicates, digest, onChainDigest } of tasks) {
    const ends = replicates.map((replicate) => replicate.statuses.at(-1)?.status);
    if (status !== "COMPLETED") throw new Error(`task ${taskId} is ${status}`);
    if (ends.filter((end) => end === "COMPLETED").length < workers) throw new Error(`the replicates of ${taskId} ended as ${ends}`);
    if (digest !== onChainDigest) throw new Error(`the digest of ${taskId} is ${digest}, on chain ${onChainDigest}`);
  }
}

const PARTIES = ["requester", "scheduler", "app developer", "data provider", "worker-1"];

/** nRLC of one party, or of all. */
function worth(all: Holdings, who?: string): bigint {
  const chosen = who === undefined ? Object.values(all) : [all[who]];
  return chosen.reduce((sum, h) => (h === undefined ? sum : sum + BigInt(h.stake) + BigInt(h.locked) + BigInt(h.token)), 0n);
}

/** Errors: when one nRLC was made or lost, somebody has RLC locked, or nothing was paid. @returns nRLC that the requester paid */
export function requireMoneyAddsUp({ before, after }: DemoJson["balances"]): bigint {
  if (worth(before) !== worth(after)) throw new Error(`${worth(before)} nRLC before, ${worth(after)} after`);
  if (Object.values(after).some((h) => h.locked !== "0")) throw new Error("somebody still has RLC locked");
  const missing = PARTIES.filter((who) => before[who] === undefined || after[who] === undefined);
  if (missing.length > 0) throw new Error(`no balance of ${missing}`);
  const paid = worth(before, "requester") - worth(after, "requester");
  const poor = PARTIES.slice(1).filter((who) => worth(after, who) <= worth(before, who));
  if (paid <= 0n || poor.length > 0) throw new Error(`the requester paid ${paid} nRLC; nothing for ${poor}`);
  return paid;
}
