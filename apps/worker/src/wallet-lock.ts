import type { Address } from "@iexec-ts/poco";
import { acquireLock, CodedError, hasCode, type Lock } from "@iexec-ts/service";

/** One worker for a wallet at a time. Errors: WRK-1001. SIDE EFFECTS: takes the lock at `path`. */
export function lockWallet(path: string, wallet: Address): Lock {
  try {
    return acquireLock(path);
  } catch (thrown) {
    if (!hasCode(thrown, "SVC-1401")) throw thrown;
    throw new CodedError("WRK-1001", { wallet, holder: String(CodedError.from(thrown).args.holder) }, { cause: thrown });
  }
}
