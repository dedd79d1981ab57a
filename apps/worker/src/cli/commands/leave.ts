import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { Account, Address } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { walletWithdraw } from "../../wallet/move.ts";
import { type Context, type Input, switchOption } from "../context.ts";
import { withChain } from "../facts/chain-facts.ts";
import { journalPath } from "../facts/journal-facts.ts";
import { type LocalFacts, localFacts, lockPath, needWallet } from "../facts/local-facts.ts";
import type { Report } from "../report.ts";
import { knownConfigFile } from "../settings.ts";
import { exactDigits, rlc } from "../view/amounts.ts";
import { confirmed } from "./confirm.ts";
import { durationOption } from "./control.ts";
import { imagePrune } from "./image.ts";
import { stop } from "./operate.ts";

const UNLOCK_MS = 600_000;
const LOOK_MS = 2_000;

/** Waits until the pool has finalized the last tasks, which is the scheduler's doing. Errors: WRK-1710 when it takes too long. */
async function unlocked(context: Context, input: Input, { journal }: LocalFacts, wallet: Address): Promise<Account> {
  const { clock, signal, tell } = context;
  const limitMs = durationOption(input, "timeout", "--timeout") ?? UNLOCK_MS;
  return withChain(context, journal, async ({ hub }) => {
    const end = clock.monotonicMs() + limitMs;
    let account = await hub.account(wallet);
    if (switchOption(input, "force")) return account;
    if (account.locked > 0n) tell(`  waiting for the pool to finalize: ${rlc(account.locked)} are locked...`);
    while (account.locked > 0n) {
      if (clock.monotonicMs() > end) throw new CodedError("WRK-1710", { locked: exactDigits(account.locked, "RLC") });
      await clock.sleep(LOOK_MS, signal);
      account = await hub.account(wallet);
    }
    return account;
  });
}

/**
 * Leaves the workerpool: finishes what is under way, takes the stake back when asked to, removes what the worker made, and says what it kept.
 * The wallet file always stays.
 *
 * Errors: WRK-1708, WRK-1710; those of `stop --drain` and `wallet withdraw`. SIDE EFFECTS: the worker ends; files and images are deleted.
 */
export async function leave(context: Context, input: Input): Promise<Report> {
  const { settings, env } = context;
  const facts = await localFacts(context);
  const wallet = needWallet(facts, settings);
  const open = facts.journal?.replicates.filter(({ closedAt }) => closedAt === undefined).length ?? 0;
  if (facts.running.kind === "stopped" && open > 0 && !switchOption(input, "force")) throw new CodedError("WRK-1708", { open });
  await confirmed(context, input, `Leave the workerpool with wallet ${wallet} and delete the worker's files?`);
  if (facts.running.kind === "running") {
    context.tell("  finishing what is under way...");
    await stop(context, { args: [], options: { drain: true } });
  }

  const account = await unlocked(context, input, facts, wallet);
  const withdrawn = switchOption(input, "withdraw") ? account.stake : 0n;
  if (withdrawn > 0n) {
    context.tell(`  taking ${rlc(withdrawn)} back to the wallet...`);
    await walletWithdraw(context, { args: [exactDigits(withdrawn, "RLC")], options: { yes: true } });
  }

  const { data } = await imagePrune(context, { args: [], options: { yes: true } });
  const images = Array.isArray(data.removed) ? data.removed.length : 0;
  const journal = journalPath(settings.stateDir, wallet);
  const configFile = knownConfigFile(env);
  const paths = [
    join(settings.baseDir, settings.name),
    join(settings.baseDir, "isolation.json"),
    journal,
    `${journal}-wal`,
    `${journal}-shm`,
    lockPath(settings.stateDir, wallet),
    ...["images.json", "selftest.json", "worker.log"].map((name) => join(settings.stateDir, name)),
    ...(configFile === undefined ? [] : [configFile]),
  ].filter((path) => existsSync(path));
  for (const path of paths) await rm(path, { recursive: true, force: true });
  const left = account.stake - withdrawn;
  const kept = [`the wallet ${wallet} in ${settings.walletPath}`, ...(left > 0n ? [`${rlc(left)} of stake in the iExec account`] : [])];
  return {
    data: { wallet, withdrawnNanoRlc: withdrawn.toString(), removed: [...paths], images, kept: [...kept] },
    text: (style) =>
      [
        `${style.mark("ok")} left the workerpool`,
        ...(withdrawn > 0n ? [`   ${rlc(withdrawn)} is in the wallet again`] : []),
        ...paths.map((path) => `   removed ${path}`),
        ...(images === 0 ? [] : [`   removed ${images} images of apps`]),
        ...kept.map((what) => `${style.mark("note")} kept ${what}`),
      ].join("\n"),
    next: left > 0n ? ["iexec-worker init", `iexec-worker wallet withdraw ${exactDigits(left, "RLC")}`] : ["iexec-worker wallet show"],
  };
}
