import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Address } from "@iexec-ts/poco";
import { acquireLock, type Clock, CodedError, hasCode, type Lock } from "@iexec-ts/service";
import { Journal } from "../replicate/journal.ts";

/**
 * Opens the journal for writing while no worker runs, with the worker's lock held meanwhile.
 *
 * Errors: WRK-2003 a worker runs, SVC-1402, WRK-1302. SIDE EFFECTS: creates the state folder and the journal when they are not there.
 */
export async function withOwnJournal<T>(
  { settings, clock }: { readonly settings: { readonly stateDir: string }; readonly clock: Clock },
  wallet: Address,
  work: (journal: Journal) => T | Promise<T>,
): Promise<T> {
  const { stateDir } = settings;
  await mkdir(stateDir, { recursive: true, mode: 0o755 });
  const lock = take(join(stateDir, `${wallet}.lock`), wallet);
  try {
    const journal = new Journal(join(stateDir, `${wallet}.sqlite`), wallet, () => clock.now());
    try {
      return await work(journal);
    } finally {
      journal.shut();
    }
  } finally {
    lock.release();
  }
}

function take(path: string, wallet: Address): Lock {
  try {
    return acquireLock(path);
  } catch (thrown) {
    if (!hasCode(thrown, "SVC-1401")) throw thrown;
    throw new CodedError("WRK-2003", { wallet, holder: String(CodedError.from(thrown).args.holder) }, { cause: thrown });
  }
}
