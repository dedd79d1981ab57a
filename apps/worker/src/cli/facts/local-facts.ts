import { existsSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Address } from "@iexec-ts/poco";
import { CodedError, openScope, parseKeystore } from "@iexec-ts/service";
import { askWorker } from "../../control/client.ts";
import { type Doing, doingSchema } from "../../control/doing.ts";
import { socketPath } from "../../control/wire.ts";
import type { Context } from "../context.ts";
import type { OperatorSettings } from "../settings.ts";
import { type JournalFacts, readJournalFacts, walletsWithJournal } from "./journal-facts.ts";
import { type PageFacts, readPage } from "./page-facts.ts";

/** How the operator's command knows whether the worker runs. */
export type Running =
  | { readonly kind: "running"; readonly page: PageFacts | undefined; readonly holder: string; readonly doing?: Doing | undefined }
  | { readonly kind: "stopped" };

/** What this machine alone says about the worker. */
export interface LocalFacts {
  /** Undefined without a readable wallet file and without a journal. */
  readonly wallet: Address | undefined;
  /** Why the wallet file does not say whose it is. */
  readonly walletProblem: CodedError | undefined;
  readonly running: Running;
  readonly journal: JournalFacts | undefined;
}

export const lockPath = (stateDir: string, wallet: Address): string => join(stateDir, `${wallet}.lock`);

/** SIDE EFFECTS: none on disk; asks the worker's own page. */
export async function localFacts({ settings, signal }: Pick<Context, "settings" | "signal">): Promise<LocalFacts> {
  const { wallet, problem } = await walletOf(settings);
  if (wallet === undefined) return { wallet, walletProblem: problem, running: { kind: "stopped" }, journal: undefined };
  const page = await readPage(settings, signal);
  const ours = page?.wallet === wallet ? page : undefined;
  const holder = lockHolder(lockPath(settings.stateDir, wallet));
  const running: Running =
    ours !== undefined || holder !== undefined
      ? {
          kind: "running",
          page: ours,
          holder: holder ?? "the worker's page",
          doing: (await askDoing(socketPath(settings.stateDir, wallet), signal)) ?? ours?.doing,
        }
      : { kind: "stopped" };
  return { wallet, walletProblem: problem, running, journal: await readJournalFacts(settings.stateDir, wallet) };
}

const ASK_MS = 2_000;

/** What a running worker says over its socket; undefined when this user may not ask it, or it does not answer. */
async function askDoing(socket: string, signal: AbortSignal): Promise<Doing | undefined> {
  if (!existsSync(socket)) return undefined;
  using limit = openScope([signal], { ms: ASK_MS });
  const answer = await askWorker(socket, "state", {}, { signal: limit.signal }).catch(() => undefined);
  signal.throwIfAborted();
  return answer?.kind === "done" ? doingSchema.safeParse(answer.facts).data : undefined;
}

/** The address in the keystore file, readable without its password; else that of the only journal. */
async function walletOf(settings: OperatorSettings): Promise<{ wallet: Address | undefined; problem: CodedError | undefined }> {
  let problem: CodedError | undefined;
  try {
    const { address } = parseKeystore(await readFile(settings.walletPath, "utf8"), settings.walletPath);
    if (address !== undefined) return { wallet: address, problem: undefined };
  } catch (thrown) {
    const reason = thrown instanceof Error && "code" in thrown && !(thrown instanceof CodedError) ? String(thrown.code) : "";
    problem = thrown instanceof CodedError ? thrown : new CodedError("SVC-1303", { path: settings.walletPath, reason }, { cause: thrown });
  }
  const known = walletsWithJournal(settings.stateDir);
  return { wallet: known.length === 1 ? known[0] : undefined, problem };
}

/** Errors: that of the wallet file when nothing says which wallet is meant. */
export function needWallet({ wallet, walletProblem }: LocalFacts, settings: OperatorSettings): Address {
  if (wallet !== undefined) return wallet;
  throw walletProblem ?? new CodedError("SVC-1303", { path: settings.walletPath, reason: "it does not say its address" });
}

/**
 * Who holds the worker's lock, or undefined when nobody does. A read is refused exactly while a worker holds the file; the lock itself is not
 * taken, so that a worker that starts at this moment is not turned away.
 */
export function lockHolder(path: string): string | undefined {
  if (!existsSync(path)) return undefined;
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    db.exec("PRAGMA busy_timeout = 0; SELECT count(*) FROM sqlite_master;");
    return undefined;
  } catch (thrown) {
    if (!(thrown instanceof Error && "errcode" in thrown && thrown.errcode === SQLITE_BUSY)) throw thrown;
    return ownerOf(`${path}.owner`);
  } finally {
    db.close();
  }
}

const SQLITE_BUSY = 5;

function ownerOf(path: string): string {
  try {
    return readFileSync(path, "utf8").trim().slice(0, 100) || "another process";
  } catch {
    // It only makes the message better.
    return "another process";
  }
}
