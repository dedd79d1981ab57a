import type { Address } from "@iexec-ts/poco";
import { addressSchema, ZERO_ADDRESS } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { type Context, type Input, switchOption } from "../cli/context.ts";
import { type ChainReader, withChain } from "../cli/facts/chain-facts.ts";
import { type LocalFacts, localFacts, needWallet } from "../cli/facts/local-facts.ts";
import type { Report } from "../cli/report.ts";
import { type Coin, coins, exactDigits, parseAmount, rlc } from "../cli/view/amounts.ts";
import { REVEAL_GAS } from "../replicate/gas-reserve.ts";
import { type MoneyCall, type Movement, moneyCall, WEI_PER_NANO_RLC } from "./intents.ts";
import { promisedStake, stakeLocks } from "./locks.ts";
import { sendMoney } from "./send.ts";

/** Errors: WRK-2003 to WRK-2010. SIDE EFFECTS: sends a transaction. */
export const walletDeposit = (context: Context, input: Input): Promise<Report> =>
  move(context, input, { kind: "deposit", amount: parseAmount(input.args[0] ?? "", "RLC") });

/** Errors: WRK-2003 to WRK-2010. SIDE EFFECTS: sends a transaction. */
export const walletWithdraw = (context: Context, input: Input): Promise<Report> =>
  move(context, input, { kind: "withdraw", amount: parseAmount(input.args[0] ?? "", "RLC") });

/** Errors: WRK-2003 to WRK-2010, WRK-2012 not an address. SIDE EFFECTS: sends a transaction. */
export async function walletTransfer(context: Context, input: Input): Promise<Report> {
  const [text = "", address = ""] = input.args;
  const to = addressSchema.safeParse(address);
  if (!to.success || to.data === ZERO_ADDRESS)
    throw new CodedError("WRK-2012", { what: "The receiver", expected: "an address (0x and 40 hexadecimal digits)", got: address });
  const unit = /[A-Za-z]+\s*$/.exec(text)?.[0].trim();
  if (unit === undefined) throw new CodedError("WRK-2005", { text, reason: "say of what: `1.5 RLC` or `0.1 ETH`" });
  const coin: Coin = /rlc$/i.test(unit) && unit !== "xRLC" ? "RLC" : "native";
  return move(context, input, { kind: "transfer", coin, amount: parseAmount(text, coin), to: to.data });
}

const coinOf = (movement: Movement): Coin => (movement.kind === "transfer" ? movement.coin : "RLC");

interface Before {
  readonly wallet: Address;
  readonly native: bigint;
  readonly inWallet: bigint;
  readonly free: bigint;
  readonly locked: bigint;
}

async function move(context: Context, input: Input, movement: Movement): Promise<Report> {
  const facts = await localFacts(context);
  const wallet = needWallet(facts, context.settings);
  const dryRun = switchOption(input, "dryRun");
  const { running } = facts;
  if (running.kind === "running" && !dryRun) throw new CodedError("WRK-2003", { wallet, holder: running.holder });
  return withChain(context, facts.journal, async (chain) => {
    const before = await balances(chain, wallet);
    const call = moneyCall(movement, { hub: chain.network.hub, token: chain.hub.configuration.token });
    const gas = await costOf(chain, wallet, call);
    assertFunded(movement, before, gas, chain);
    await assertAllowed(context, movement, before, gas, { facts, chain });
    const sentence = describe(movement, chain);
    if (dryRun) {
      return {
        data: { dryRun: true, wallet, ...plain(movement), gasWei: gas.toString() },
        text: (style) => `${style.mark("note")} would ${sentence}, for about ${coins(gas, chain.symbol)} of gas; nothing was sent`,
        next: [`the same command without --dry-run`],
      };
    }
    if (!switchOption(input, "yes")) await confirm(context, movement, sentence);
    const sent = await sendMoney(context, chain, movement.kind, call);
    const after = await balances(chain, wallet);
    return {
      data: {
        wallet,
        ...plain(movement),
        transaction: sent.outcome.hash,
        id: sent.id,
        block: sent.outcome.receipt.blockNumber.toString(),
        gasPaidWei: sent.gasPaid.toString(),
        before: numbers(before),
        after: numbers(after),
      },
      text: (style) =>
        [
          `${style.mark("ok")} done: ${sentence}`,
          `   transaction    ${sent.outcome.hash}, block ${sent.outcome.receipt.blockNumber}`,
          `   gas            ${coins(sent.gasPaid, chain.symbol)}`,
          `   free stake     ${rlc(before.free)} -> ${rlc(after.free)}`,
          `   RLC in wallet  ${rlc(before.inWallet)} -> ${rlc(after.inWallet)}`,
          `   for gas        ${coins(before.native, chain.symbol)} -> ${coins(after.native, chain.symbol)}`,
        ].join("\n"),
      next: ["iexec-worker wallet balance"],
    };
  });
}

const plain = (movement: Movement) => ({
  movement: movement.kind,
  coin: coinOf(movement),
  amount: movement.amount.toString(),
  ...(movement.kind === "transfer" ? { to: movement.to } : {}),
});

const numbers = ({ native, inWallet, free, locked }: Before) => ({
  nativeWei: native.toString(),
  rlcNano: inWallet.toString(),
  freeNano: free.toString(),
  lockedNano: locked.toString(),
});

const amountText = (movement: Movement, symbol: string): string =>
  coinOf(movement) === "RLC" ? rlc(movement.amount) : coins(movement.amount, symbol);

function describe(movement: Movement, { symbol }: ChainReader): string {
  const amount = amountText(movement, symbol);
  if (movement.kind === "deposit") return `deposit ${amount} into the iExec account`;
  if (movement.kind === "withdraw") return `withdraw ${amount} to the wallet`;
  return `transfer ${amount} to ${movement.to}`;
}

async function balances({ hub }: ChainReader, wallet: Address): Promise<Before> {
  const [native, inWallet, account] = await Promise.all([hub.nativeBalance(wallet), hub.rlcBalance(wallet), hub.account(wallet)]);
  return { wallet, native, inWallet, free: account.stake, locked: account.locked };
}

/** Gas at today's price; the floor of the call when the node cannot try it out, for example for want of money. */
async function costOf({ pool }: ChainReader, wallet: Address, call: MoneyCall): Promise<bigint> {
  const [price, gas] = await Promise.all([
    pool.client.getGasPrice(),
    pool.client.estimateGas({ account: wallet, to: call.to, data: call.data, value: call.value ?? 0n }).catch(() => call.gasFloor),
  ]);
  return price * gas;
}

/** Errors: WRK-2007. */
function assertFunded(movement: Movement, before: Before, gas: bigint, { hub, symbol }: ChainReader): void {
  const { kind, amount } = movement;
  const nativeEscrow = hub.configuration.token === ZERO_ADDRESS;
  const short = (what: string, wanted: string, have: string) => new CodedError("WRK-2007", { what, wanted, have });
  if (kind === "withdraw" && before.free < amount) throw short("The withdrawal", rlc(amount), `${rlc(before.free)} free stake`);
  const inRlc = kind === "deposit" || (kind === "transfer" && coinOf(movement) === "RLC");
  if (inRlc && before.inWallet < amount) throw short(`The ${kind}`, rlc(amount), rlc(before.inWallet));
  const value = kind === "transfer" && coinOf(movement) === "native" ? amount : inRlc && nativeEscrow ? amount * WEI_PER_NANO_RLC : 0n;
  if (before.native < value + gas) throw short(`The ${kind} with its gas`, coins(value + gas, symbol), coins(before.native, symbol));
}

/** What is needed to get the stake of open tasks back does not leave by this command. Errors: WRK-2008. */
async function assertAllowed(
  { settings }: Context,
  movement: Movement,
  before: Before,
  gas: bigint,
  { facts, chain }: { readonly facts: LocalFacts; readonly chain: ChainReader },
): Promise<void> {
  if (movement.kind === "withdraw") {
    const promised = promisedStake(facts.journal);
    if (promised > 0n && before.free - movement.amount < promised)
      throw new CodedError("WRK-2008", { reason: `tasks under way still have to lock ${rlc(promised)} of the free stake` });
    return;
  }
  if (movement.kind !== "transfer" || movement.coin !== "native") return;
  const locks = await stakeLocks(chain.hub, before.wallet, facts.journal);
  const open = BigInt(locks.filter(({ revealed }) => !revealed).length);
  const price = await chain.pool.client.getGasPrice();
  const dearest = price === 0n ? 0n : settings.gasPriceCap;
  const reserve = open * REVEAL_GAS * dearest;
  if (open > 0n && before.native - movement.amount - gas < reserve)
    throw new CodedError("WRK-2008", { reason: `${open} reveals still need up to ${coins(reserve, chain.symbol)} for gas` });
}

/** Errors: WRK-2002 nobody to ask, WRK-2004 something else was typed. */
async function confirm({ prompt }: Context, movement: Movement, sentence: string): Promise<void> {
  const digits = exactDigits(movement.amount, coinOf(movement));
  const typed = await prompt.ask(`This will ${sentence}. Type the amount (${digits}) to confirm:`, "--yes");
  if (typed !== digits) throw new CodedError("WRK-2004", { what: `"${typed.slice(0, 40)}" is not ${digits}` });
}
