import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { CodedError, readKeystore, type Wallet, writeKeystore } from "@iexec-ts/service";
import { generatePrivateKey } from "viem/accounts";
import type { Context, Input } from "../cli/context.ts";
import { localFacts } from "../cli/facts/local-facts.ts";
import { EXIT, type Report } from "../cli/report.ts";
import { knownPassword, newPassword } from "./password.ts";

const BACKUP = [
  "Back it up now: copy the file AND keep the password, apart from each other.",
  "Without both, everything in this wallet and its stake is lost for ever.",
];

type PrivateKey = `0x${string}`;

const written = (wallet: Wallet, path: string, what: string): Report => ({
  data: { address: wallet.address, path },
  text: (style) =>
    [
      `${style.mark("ok")} ${what} ${path} (mode 0600, opened again with the password)`,
      `   address  ${style.strong(wallet.address)}`,
      "",
      `${style.mark("warn")} ${BACKUP[0]}`,
      `   ${BACKUP[1]}`,
    ].join("\n"),
  next: ["iexec-worker wallet check-backup PATH_OF_THE_COPY", "iexec-worker wallet balance"],
});

async function write(context: Context, privateKey: PrivateKey, password: string): Promise<Wallet> {
  const path = context.settings.walletPath;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  context.tell("Encrypting the wallet...");
  return writeKeystore(path, privateKey, password);
}

async function refuseExisting(path: string): Promise<void> {
  if (await modeOf(path)) throw new CodedError("SVC-1307", { path });
}

/** SIDE EFFECTS: creates the wallet file of the settings. Errors: SVC-1307, SVC-1308, WRK-2002, WRK-2013. */
export async function walletCreate(context: Context): Promise<Report> {
  const path = context.settings.walletPath;
  await refuseExisting(path);
  const password = await newPassword(context);
  return written(await write(context, generatePrivateKey(), password.reveal()), path, "created");
}

/**
 * The key is typed unseen or read from standard input, never from the command line.
 *
 * SIDE EFFECTS: creates the wallet file of the settings. Errors: SVC-1307, SVC-1308, SVC-1309, WRK-2002, WRK-2013.
 */
export async function walletImport(context: Context): Promise<Report> {
  const path = context.settings.walletPath;
  await refuseExisting(path);
  const key = await context.prompt.askSecret("Private key (64 hexadecimal digits):", "standard input, as in `< key.txt`", { pipe: true });
  const password = await newPassword(context);
  return written(await write(context, asKey(key.reveal()), password.reveal()), path, "imported into");
}

/** Errors: SVC-1309, which never shows what was given. */
function asKey(text: string): PrivateKey {
  const digits = /^(?:0x)?([0-9a-fA-F]{64})$/.exec(text.trim())?.[1];
  if (digits === undefined) throw new CodedError("SVC-1309");
  return `0x${digits.toLowerCase()}`;
}

/** The permission bits of a file as octal text, or undefined when it is not there. */
export async function modeOf(path: string): Promise<string | undefined> {
  try {
    return ((await stat(path)).mode & 0o777).toString(8).padStart(4, "0");
  } catch {
    // Not there, or not visible for this user: the reader of the file says which.
    return undefined;
  }
}

/** Works without the password. Errors: SVC-1301 and the like when the file is not a keystore. */
export async function walletShow(context: Context): Promise<Report> {
  const { settings } = context;
  const facts = await localFacts(context);
  if (facts.walletProblem !== undefined) throw facts.walletProblem;
  const mode = await modeOf(settings.walletPath);
  const closed = mode !== undefined && /00$/.test(mode);
  const running = facts.running.kind === "running";
  return {
    data: { address: facts.wallet ?? null, path: settings.walletPath, mode: mode ?? null, workerRunning: running },
    text: (style) =>
      [
        `   address  ${style.strong(facts.wallet ?? "only the password tells")}`,
        `   file     ${settings.walletPath}`,
        closed
          ? `${style.mark("ok")} mode     ${mode}, only for its owner`
          : `${style.mark("warn")} mode     ${mode ?? "?"}: other users of this machine can read it -> iexec-worker doctor --fix`,
        `   used by  ${running ? "a worker that runs now" : "no worker now"}`,
      ].join("\n"),
    next: ["iexec-worker wallet balance"],
  };
}

async function isSameFile(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map((path) => stat(path, { bigint: true }).catch(() => undefined)));
  return a !== undefined && b !== undefined && a.dev === b.dev && a.ino === b.ino;
}

/** Opens a copy of the wallet and compares. Errors: WRK-2015, SVC-1302 and the like when the copy is of no use. SIDE EFFECTS: may ask for the password. */
export async function verifyBackup(
  context: Context,
  copy: string,
): Promise<{ readonly address: string; readonly wallet: string | undefined; readonly matches: boolean }> {
  if (await isSameFile(copy, context.settings.walletPath)) throw new CodedError("WRK-2015", { path: copy });
  const password = await knownPassword(context);
  context.tell("Opening the copy...");
  const { address } = await readKeystore(copy, password.reveal());
  const { wallet } = await localFacts(context);
  return { address, wallet, matches: wallet === undefined || wallet === address };
}

/** Errors: SVC-1302 and the like when the copy is of no use. */
export async function walletCheckBackup(context: Context, input: Input): Promise<Report> {
  const [copy = ""] = input.args;
  const { address, wallet, matches: same } = await verifyBackup(context, copy);
  return {
    data: { address, wallet: wallet ?? null, matches: same },
    text: (style) =>
      same
        ? `${style.mark("ok")} ${copy} opens with the password and holds ${style.strong(address)}`
        : `${style.mark("bad")} ${copy} opens, but it is another wallet: ${address}, not ${wallet}`,
    ...(same ? {} : { exit: EXIT.failed, next: ["cp the wallet file again, then repeat this check"] }),
  };
}
