import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Wallet, writeKeystore } from "@iexec-ts/service";
import { generatePrivateKey } from "viem/accounts";

export interface WorkerWallet {
  readonly wallet: Wallet;
  readonly keystorePath: string;
}

/** geth's light scrypt: these keys hold play money for one run. */
const LIGHT_SCRYPT = 4096;

/**
 * Fresh wallets for the network's workers, each as a keystore file that the worker opens by itself.
 *
 * Errors: SVC-1307, SVC-1308 (see `writeKeystore`).
 * SIDE EFFECTS: creates `folder` and writes one file per worker into it.
 */
export async function createWorkerWallets(folder: string, count: number, password: string): Promise<readonly WorkerWallet[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const keystorePath = join(folder, `worker-${index + 1}.json`);
      const wallet = await writeKeystore(keystorePath, generatePrivateKey(), password, { n: LIGHT_SCRYPT });
      return { wallet, keystorePath };
    }),
  );
}
