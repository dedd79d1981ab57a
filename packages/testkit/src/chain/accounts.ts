import { pbkdf2Sync } from "node:crypto";
import { type HDAccount, HDKey, hdKeyToAccount } from "viem/accounts";
import { TEST_MNEMONIC } from "./anvil.ts";

const known = new Map<number, HDAccount>();
let root: HDKey | undefined;

/**
 * Account of the test mnemonic, the same that anvil funds. Derived once per process: derivation costs more than a signature.
 */
export function testAccount(index: number): HDAccount {
  const earlier = known.get(index);
  if (earlier !== undefined) return earlier;
  root ??= HDKey.fromMasterSeed(pbkdf2Sync(TEST_MNEMONIC, "mnemonic", 2048, 64, "sha512"));
  const account = hdKeyToAccount(root, { addressIndex: index });
  known.set(index, account);
  return account;
}
