import type { Hub, TxQueue, TxRecord } from "@iexec-ts/chain";
import { type Address, revealVerdict, type TaskId } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import type { Journal } from "../replicate/journal.ts";
import { lossOf } from "./task-actions.ts";
import type { Facts } from "./wire.ts";

const REVEAL = /^reveal:(0x[0-9a-f]{64})$/;

export const txFacts = ({ intent, state, nonce, attempts, note }: TxRecord): Facts => ({
  id: intent.id,
  state,
  nonce: nonce ?? null,
  attempts: attempts.length,
  hash: attempts.at(-1)?.hash ?? null,
  maxFeePerGas: attempts.at(-1)?.maxFeePerGas.toString() ?? null,
  note: note ?? null,
});

/** Errors: CHN-3002 not on its way, CHN-3003 the cap or the wallet forbids it. SIDE EFFECTS: sends a dearer attempt for the same nonce. */
export async function bumpTransaction(queue: TxQueue, id: string): Promise<Facts> {
  const before = (await queue.list(Number.MAX_SAFE_INTEGER)).find(({ intent }) => intent.id === id);
  const was = before?.attempts.at(-1)?.maxFeePerGas.toString() ?? null;
  return { ...txFacts(await queue.bump(id)), was };
}

/**
 * Takes a transaction back: replaces it with a transfer of nothing to ourselves under the same nonce.
 *
 * Errors: CHN-3002, CHN-3003; WRK-1520 it is a reveal that the chain waits for and `force` is not given.
 * SIDE EFFECTS: sends.
 */
export async function cancelTransaction(
  ports: { readonly queue: TxQueue; readonly hub: Hub; readonly journal: Journal; readonly worker: Address },
  id: string,
  force: boolean,
): Promise<Facts> {
  const loss = await lossOfCancelling(ports, id);
  if (loss !== undefined && !force) throw new CodedError("WRK-1520", { id, loss });
  return { ...txFacts(await ports.queue.cancel(id)), loss: loss ?? null };
}

/** What it costs not to send this; undefined when nothing. A chain that cannot be read counts as one that waits for the reveal. */
async function lossOfCancelling(
  { hub, journal, worker }: { readonly hub: Hub; readonly journal: Journal; readonly worker: Address },
  id: string,
): Promise<string | undefined> {
  const taskId = REVEAL.exec(id)?.[1];
  if (!isTaskId(taskId)) return undefined;
  const replicate = journal.find(taskId);
  if (replicate === undefined) return undefined;
  const digest = journal.contribution(taskId)?.digest;
  const due = await hub.observe(taskId, worker).then(
    (chain) => "can" in revealVerdict(chain, worker, digest),
    () => true,
  );
  return due ? lossOf(replicate, true) : undefined;
}

const isTaskId = (text: string | undefined): text is TaskId => text?.startsWith("0x") === true;
