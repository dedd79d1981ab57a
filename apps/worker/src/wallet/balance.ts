import { ZERO_ADDRESS } from "@iexec-ts/poco";
import type { Context } from "../cli/context.ts";
import { withChain } from "../cli/facts/chain-facts.ts";
import { localFacts, needWallet } from "../cli/facts/local-facts.ts";
import type { Report } from "../cli/report.ts";
import { coins, rlc } from "../cli/view/amounts.ts";
import { table } from "../cli/view/table.ts";
import { exact, relative } from "../cli/view/time.ts";
import { promisedStake, stakeLocks } from "./locks.ts";

/** Errors: SVC-13xx no wallet, WRK-2009, CHN-…. */
export async function walletBalance(context: Context): Promise<Report> {
  const facts = await localFacts(context);
  const wallet = needWallet(facts, context.settings);
  return withChain(context, facts.journal, async ({ hub, network, pool, symbol }) => {
    const [native, inWallet, account, locks] = await Promise.all([
      hub.nativeBalance(wallet),
      hub.rlcBalance(wallet),
      hub.account(wallet),
      stakeLocks(hub, wallet, facts.journal),
    ]);
    const promised = promisedStake(facts.journal);
    const explained = locks.reduce((sum, { amount }) => sum + amount, 0n);
    const nativeEscrow = hub.configuration.token === ZERO_ADDRESS;
    const now = context.clock.now();
    return {
      data: {
        wallet,
        chainId: network.chainId,
        block: pool.head().number.toString(),
        nativeWei: native.toString(),
        rlcNano: inWallet.toString(),
        freeNano: account.stake.toString(),
        lockedNano: account.locked.toString(),
        promisedNano: promised.toString(),
        lockedElsewhereNano: (account.locked - explained).toString(),
        locks: locks.map((lock) => ({
          taskId: lock.taskId,
          status: lock.status,
          amountNano: lock.amount.toString(),
          until: exact(lock.until),
          revealBefore: lock.revealBefore === undefined ? null : exact(lock.revealBefore),
        })),
      },
      text: (style) => {
        const both = (amount: bigint) => `${rlc(amount)}  ${style.faint(`(${amount} nRLC)`)}`;
        const lines = [
          `Wallet ${style.strong(wallet)} on chain ${network.chainId}, block ${pool.head().number}`,
          `   for gas          ${coins(native, symbol)}`,
          nativeEscrow ? `   RLC in wallet    the same coins: ${rlc(inWallet)}` : `   RLC in wallet    ${both(inWallet)}`,
          `   stake, free      ${both(account.stake)}`,
          `   stake, locked    ${both(account.locked)}`,
          ...(promised === 0n ? [] : [`   about to lock    ${both(promised)} of the free stake, by tasks under way`]),
        ];
        if (locks.length > 0) {
          const rows = table(
            [
              { title: "LOCKED BY TASK", value: (lock) => lock.taskId, max: 18 },
              { title: "STAKE", value: (lock) => rlc(lock.amount), align: "right" },
              { title: "STATUS", value: (lock) => lock.status },
              { title: "FREE AT THE LATEST", value: (lock) => (style.plain ? exact(lock.until) : relative(lock.until, now)) },
            ],
            locks,
            style,
          );
          lines.push("", rows);
        }
        if (account.locked > explained)
          lines.push(`${style.mark("note")} ${rlc(account.locked - explained)} are locked by tasks that are not in this journal`);
        return lines.join("\n");
      },
      next: account.stake === 0n && inWallet > 0n ? ["iexec-worker wallet deposit AMOUNT"] : ["iexec-worker ledger"],
    };
  });
}
