import type { Address, Bytes32 } from "@iexec-ts/poco";
import { type LocalChain, type LocalChainOptions, type Side, startLocalChain } from "@iexec-ts/testkit";
import type { LocalAccount } from "viem";

/** Who plays what on a local chain, by index of the test mnemonic. Workers have wallets of their own. */
export const ROLE_ACCOUNTS = { deployer: 0, appDeveloper: 1, dataProvider: 2, scheduler: 3, requester: 4 } as const;
export type Role = keyof typeof ROLE_ACCOUNTS;

export interface PreparedChainOptions {
  readonly chain?: LocalChainOptions;
  readonly app: { readonly name: string; readonly image: string; readonly checksum?: Bytes32 };
  readonly dataset?: { readonly name: string; readonly url: string; readonly checksum?: Bytes32 };
  readonly workerpool?: { readonly description?: string; readonly workerStakeRatio?: bigint; readonly schedulerRewardRatio?: bigint };
  /** nRLC per task. */
  readonly prices?: { readonly app?: bigint; readonly dataset?: bigint; readonly workerpool?: bigint };
  /** Wallets to fund. */
  readonly workers: readonly Address[];
  /** What everybody starts with. */
  readonly funds?: Partial<Funds>;
}

export interface Funds {
  /** Wei for gas. */
  readonly workerEther: bigint;
  /** nRLC in escrow. */
  readonly workerDeposit: bigint;
  readonly schedulerDeposit: bigint;
  readonly requesterDeposit: bigint;
}

export interface PreparedChain {
  readonly chain: LocalChain;
  readonly roles: Readonly<Record<Role, LocalAccount>>;
  readonly app: Side;
  readonly dataset: Side | undefined;
  readonly workerpool: Side;
  close(): Promise<void>;
}

const RLC = 1_000_000_000n;
const ETHER = 10n ** 18n;
const DEFAULT_FUNDS: Funds = {
  workerEther: 10n * ETHER,
  workerDeposit: 1_000n * RLC,
  schedulerDeposit: 10_000n * RLC,
  requesterDeposit: 10_000n * RLC,
};
const DEFAULT_PRICES = { app: RLC / 10n, dataset: RLC / 20n, workerpool: RLC };

/**
 * A chain on which a deal can be made at once: contracts, app, dataset and workerpool exist, everybody has what they need.
 *
 * Errors: those of `startLocalChain`; NET-1006 a transaction was refused.
 * SIDE EFFECTS: starts a node, which ends with this process; sends about ten transactions.
 */
export async function prepareChain(options: PreparedChainOptions, signal?: AbortSignal): Promise<PreparedChain> {
  const chain = await startLocalChain(options.chain, signal);
  try {
    const role = (name: Role): LocalAccount => chain.account(ROLE_ACCOUNTS[name]);
    const roles = {
      deployer: role("deployer"),
      appDeveloper: role("appDeveloper"),
      dataProvider: role("dataProvider"),
      scheduler: role("scheduler"),
      requester: role("requester"),
    };
    const prices = { ...DEFAULT_PRICES, ...options.prices };
    const { dataset, workerpool = {} } = options;
    const [appAddress, datasetAddress, poolAddress] = await Promise.all([
      chain.createApp(roles.appDeveloper, options.app),
      dataset === undefined
        ? undefined
        : chain.createDataset(roles.dataProvider, {
            name: dataset.name,
            location: dataset.url,
            ...(dataset.checksum === undefined ? {} : { checksum: dataset.checksum }),
          }),
      chain.createWorkerpool(roles.scheduler, { description: "Local workerpool", ...workerpool }),
      fund(chain, roles, options.workers, { ...DEFAULT_FUNDS, ...options.funds }),
    ]);
    return {
      chain,
      roles,
      app: { address: appAddress, owner: roles.appDeveloper, price: prices.app },
      dataset: datasetAddress === undefined ? undefined : { address: datasetAddress, owner: roles.dataProvider, price: prices.dataset },
      workerpool: { address: poolAddress, owner: roles.scheduler, price: prices.workerpool },
      close: () => chain.stop(),
    };
  } catch (error) {
    await chain.stop();
    throw error;
  }
}

/** With a native escrow the treasury's coin is also what is deposited. */
async function fund(
  chain: LocalChain,
  roles: Readonly<Record<Role, LocalAccount>>,
  workers: readonly Address[],
  funds: Funds,
): Promise<void> {
  await Promise.all([
    chain.deposit(roles.scheduler.address, funds.schedulerDeposit),
    chain.deposit(roles.requester.address, funds.requesterDeposit),
    ...workers.flatMap((worker) => [chain.giveNative(worker, funds.workerEther), chain.deposit(worker, funds.workerDeposit)]),
  ]);
}
