import { CodedError, type Redacted, readKeystore, type Wallet } from "@iexec-ts/service";
import type { Context } from "../cli/context.ts";

const FLAG = "--password-file PATH (or IEXEC_WORKER_WALLET_PASSWORD_FILE)";

/** The password from the settings, else from the person. Errors: WRK-2002. */
export async function knownPassword({ settings, prompt }: Context): Promise<Redacted<string>> {
  return settings.walletPassword ?? prompt.askSecret(`Password of ${settings.walletPath}:`, FLAG);
}

/** A password for a new file, typed twice unless it comes from the settings. Errors: WRK-2002, WRK-2013. */
export async function newPassword({ settings, prompt }: Context): Promise<Redacted<string>> {
  if (settings.walletPassword !== undefined) return settings.walletPassword;
  const first = await prompt.askSecret("New password for the wallet:", FLAG);
  if (first.reveal() === "") throw new CodedError("WRK-2002", { what: "a password that is not empty", flag: FLAG });
  const second = await prompt.askSecret("The same again:", FLAG);
  if (first.reveal() !== second.reveal()) throw new CodedError("WRK-2013");
  return first;
}

/** Opens the wallet of the settings. Errors: SVC-13xx, WRK-2002. SIDE EFFECTS: may ask the person. */
export async function openWallet(context: Context): Promise<Wallet> {
  const password = await knownPassword(context);
  context.tell("Opening the wallet...");
  return readKeystore(context.settings.walletPath, password.reveal());
}
