import { z } from "zod";
import type { Ended } from "./command.ts";

const text = z.string().regex(/^0x[0-9a-f]{64}$/);
const amounts = z.array(z.object({ who: z.string(), address: z.string(), stake: z.string(), locked: z.string(), token: z.string() }));

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
  balances: z.object({ before: amounts, after: amounts }),
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

const RLC_PARTIES = ["requester", "scheduler", "app developer", "data provider", "worker-1"];

/** Errors: when one nRLC was made or lost, somebody has RLC locked, or the requester paid nothing. @returns nRLC that changed hands */
export function requireMoneyAddsUp({ before, after }: DemoJson["balances"]): bigint {
  const holding = (h: DemoJson["balances"]["before"][number] | undefined): bigint =>
    h === undefined ? 0n : BigInt(h.stake) + BigInt(h.locked) + BigInt(h.token);
  const sum = (holdings: DemoJson["balances"]["before"]): bigint => holdings.reduce((total, h) => total + holding(h), 0n);
  if (sum(before) !== sum(after)) throw new Error(`${sum(before)} nRLC before, ${sum(after)} after`);
  if (after.some((h) => BigInt(h.locked) !== 0n)) throw new Error("somebody still has RLC locked");
  const change = (who: string): bigint => holding(after.find((h) => h.who === who)) - holding(before.find((h) => h.who === who));
  const missing = RLC_PARTIES.filter((who) => !after.some((h) => h.who === who));
  if (missing.length > 0) throw new Error(`no balance of ${missing}`);
  const paid = -change("requester");
  if (paid <= 0n || change("worker-1") <= 0n) throw new Error(`the requester paid ${paid} nRLC, worker-1 got ${change("worker-1")}`);
  return paid;
}
