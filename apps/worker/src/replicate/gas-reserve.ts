import { type TaskId, type Wei, wei } from "@iexec-ts/poco";
import type { Ports } from "./ports.ts";

/** Gas limits used to reserve money before a transaction is built. @source chain.md 11: measured costs, with a quarter on top */
export const CONTRIBUTE_GAS = 550_000n;
export const REVEAL_GAS = 120_000n;

/**
 * What the wallet must hold before this replicate goes on: its own next transactions, and the reveals that other contributions still owe.
 * A contribution that could not be revealed for want of gas would cost its stake, so the reveal is counted before contributing.
 */
export async function gasNeeded(
  taskId: TaskId,
  ports: Ports,
): Promise<{ readonly needed: Wei; readonly balance: Wei; readonly affordable: boolean }> {
  const { journal, queue, hub, worker } = ports;
  const owesReveal = (progress: string) => progress === "CONTRIBUTED" || progress === "CONTRIBUTING" || progress === "REVEALING";
  const replicate = journal.get(taskId);
  const own = owesReveal(replicate.progress) ? REVEAL_GAS : CONTRIBUTE_GAS + REVEAL_GAS;
  const others = journal.unfinished().filter((r) => r.taskId !== taskId && owesReveal(r.progress)).length;
  const quote = await queue.quote(own + BigInt(others) * REVEAL_GAS);
  const balance = await hub.nativeBalance(worker);
  return { needed: wei(quote.cost), balance, affordable: balance >= quote.cost };
}
