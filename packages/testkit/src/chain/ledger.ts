import { HUB_ABI, NATIVE_ESCROW_ABI, type NanoRlc, nanoRlc, RLC_TOKEN_ABI, type Wei, wei } from "@iexec-ts/poco";
import { type Address, encodeFunctionData, type LocalAccount, maxUint256 } from "viem";
import { testAccount } from "./accounts.ts";
import type { PocoDeployment } from "./deploy-poco.ts";
import { createSender, type Sender } from "./sender.ts";

export interface Balances {
  /** Free in the escrow. */
  readonly stake: NanoRlc;
  readonly locked: NanoRlc;
  /** RLC outside the escrow; 0 when the escrow is native. */
  readonly token: NanoRlc;
  readonly native: Wei;
}

/** 1 nRLC of a native escrow in wei. @source chain.md 4 */
const WEI_PER_NANO_RLC = 1_000_000_000n;

/** Money of a local chain: its first account owns the supply and pays for everybody. */
export interface Ledger {
  /** SIDE EFFECTS: allows the hub to take the treasury's RLC; needed once per chain, done in the state file. */
  prepare(): Promise<void>;
  /** SIDE EFFECTS: puts RLC of the treasury into the escrow account of `owner`. */
  deposit(owner: Address, amount: bigint): Promise<void>;
  /** SIDE EFFECTS: the account itself moves its own RLC into the escrow. */
  depositOwn(account: LocalAccount, amount: bigint): Promise<void>;
  /** SIDE EFFECTS: sends RLC tokens of the treasury, or the same value of the coin when the escrow is native. */
  giveRlc(to: Address, amount: bigint): Promise<void>;
  /** SIDE EFFECTS: sends the chain's coin. */
  giveNative(to: Address, amount: bigint): Promise<void>;
  balancesOf(addresses: readonly Address[]): Promise<ReadonlyMap<Address, Balances>>;
}

/**
 * @param treasury - who holds the coins; default account 0, the deployer
 */
export function ledgerOf(
  url: string,
  deployment: PocoDeployment,
  sender: Sender = createSender(url, deployment.chainId),
  treasury: LocalAccount = testAccount(0),
): Ledger {
  const { hub, rlc, native } = deployment;
  const balanceOf = async (owner: Address): Promise<Balances> => {
    const [account, token, coins] = await Promise.all([
      sender.client.readContract({ address: hub, abi: HUB_ABI, functionName: "viewAccount", args: [owner] }),
      native ? 0n : sender.client.readContract({ address: rlc, abi: RLC_TOKEN_ABI, functionName: "balanceOf", args: [owner] }),
      sender.client.getBalance({ address: owner }),
    ]);
    return { stake: nanoRlc(account.stake), locked: nanoRlc(account.locked), token: nanoRlc(token), native: wei(coins) };
  };

  return {
    async prepare() {
      if (native) return;
      const data = encodeFunctionData({ abi: RLC_TOKEN_ABI, functionName: "approve", args: [hub, maxUint256] });
      await sender.send(treasury, { what: "approve", to: rlc, data });
    },
    async deposit(owner, amount) {
      if (native) {
        const data = encodeFunctionData({ abi: NATIVE_ESCROW_ABI, functionName: "depositFor", args: [owner] });
        await sender.send(treasury, { what: "depositFor", to: hub, data, value: amount * WEI_PER_NANO_RLC });
        return;
      }
      const data = encodeFunctionData({ abi: HUB_ABI, functionName: "depositFor", args: [amount, owner] });
      await sender.send(treasury, { what: "depositFor", to: hub, data });
    },
    async depositOwn(account, amount) {
      if (native) {
        const data = encodeFunctionData({ abi: NATIVE_ESCROW_ABI, functionName: "deposit" });
        await sender.send(account, { what: "deposit", to: hub, data, value: amount * WEI_PER_NANO_RLC });
        return;
      }
      const data = encodeFunctionData({ abi: RLC_TOKEN_ABI, functionName: "approveAndCall", args: [hub, amount, "0x"] });
      await sender.send(account, { what: "approveAndCall", to: rlc, data });
    },
    async giveRlc(to, amount) {
      if (native) {
        await sender.send(treasury, { what: "transfer", to, value: amount * WEI_PER_NANO_RLC });
        return;
      }
      const data = encodeFunctionData({ abi: RLC_TOKEN_ABI, functionName: "transfer", args: [to, amount] });
      await sender.send(treasury, { what: "RLC transfer", to: rlc, data });
    },
    async giveNative(to, amount) {
      await sender.send(treasury, { what: "transfer", to, value: amount });
    },
    async balancesOf(addresses) {
      const entries = await Promise.all(addresses.map(async (owner) => [owner, await balanceOf(owner)] as const));
      return new Map(entries);
    },
  };
}
