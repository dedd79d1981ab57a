import { APP_REGISTRY_ABI, DEFAULT_CATEGORIES, HUB_ABI } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import {
  type Address,
  createPublicClient,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  http,
  type LocalAccount,
  type PublicClient,
  parseAbi,
  type TransactionReceipt,
  zeroAddress,
} from "viem";
import { testAccount } from "./accounts.ts";
import { linked, pocoContracts, selectorsOf, withArguments } from "./artifacts.ts";

export interface PocoDeployment {
  readonly chainId: number;
  /** True when the escrow holds the chain's own coin; `rlc` is the zero address then. */
  readonly native: boolean;
  readonly hub: Address;
  readonly rlc: Address;
  readonly appRegistry: Address;
  readonly datasetRegistry: Address;
  readonly workerpoolRegistry: Address;
  readonly owner: Address;
}

export interface DeployOptions {
  readonly native?: boolean;
  /** Pays for everything, owns the hub and, with a token, holds the whole supply of RLC. Default: account 0. */
  readonly deployer?: LocalAccount;
  /** Wei per gas; default twice what the node suggests. */
  readonly gasPrice?: bigint;
  /** Gas handed to a deal's callback. Default 200,000, as on the live networks. */
  readonly callbackGas?: bigint;
  /** Periods in seconds. Default: the five of the networks. */
  readonly categories?: readonly { readonly name: string; readonly period: bigint }[];
}

interface Step {
  readonly name: string;
  readonly to: Address | undefined;
  readonly data: Hex;
  readonly gas: bigint;
}

/**
 * Deploys the real PoCo contracts of @iexec/poco to a fresh chain: token, order library, facets, one diamond with all cuts, registries,
 * configuration, categories. All transactions are signed up front and sent without waiting for their blocks.
 *
 * Errors: NET-1004 a step failed, NET-1005 unexpected contract package.
 * SIDE EFFECTS: sends 35 transactions (34 with `native`).
 * @source chain.md 3
 */
export async function deployPoco(url: string, options: DeployOptions = {}): Promise<PocoDeployment> {
  const client = createPublicClient({ transport: http(url, { retryCount: 0 }), pollingInterval: 5 });
  const deployer = options.deployer ?? testAccount(0);
  const [chainId, nonce, suggested] = await Promise.all([
    client.getChainId(),
    client.getTransactionCount({ address: deployer.address }),
    client.getGasPrice(),
  ]);
  const plan = planDeployment(deployer.address, nonce, chainId, options);
  const gasPrice = options.gasPrice ?? suggested * 2n;
  const signed = await Promise.all(
    plan.steps.map((step, index) =>
      deployer.signTransaction({
        type: "legacy",
        chainId,
        nonce: nonce + index,
        gas: step.gas,
        gasPrice,
        data: step.data,
        ...(step.to === undefined ? {} : { to: step.to }),
      }),
    ),
  );
  const receipts = await sendAll(client, plan.steps, signed);
  for (const [index, receipt] of receipts.entries()) {
    if (receipt.status !== "success") throw new CodedError("NET-1004", { step: plan.steps[index]?.name, reason: "reverted" });
  }
  return plan.deployment;
}

/** One after the other: nodes that get nonces out of order may keep the later ones waiting for the next block. */
async function sendAll(client: PublicClient, steps: readonly Step[], signed: readonly Hex[]): Promise<TransactionReceipt[]> {
  const hashes: Hex[] = [];
  for (const [index, serializedTransaction] of signed.entries()) {
    try {
      hashes.push(await client.sendRawTransaction({ serializedTransaction }));
    } catch (error) {
      const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
      throw new CodedError("NET-1004", { step: steps[index]?.name, reason }, { cause: error });
    }
  }
  return Promise.all(hashes.map((hash) => client.waitForTransactionReceipt({ hash })));
}

function planDeployment(from: Address, firstNonce: number, chainId: number, options: DeployOptions) {
  const native = options.native ?? false;
  const contracts = pocoContracts(native);
  const steps: Step[] = [];
  const create = (name: string, data: Hex, gas = 5_000_000n): Address => {
    const address = getContractAddress({ from, nonce: BigInt(firstNonce + steps.length) });
    steps.push({ name: `create ${name}`, to: undefined, data, gas });
    return address;
  };
  const call = (name: string, to: Address, data: Hex, gas = 1_000_000n) => steps.push({ name, to, data, gas });

  const rlc = native ? zeroAddress : create("RLC", contracts.token.code);
  const library = create("IexecLibOrders_v5", contracts.library.code);
  const init = create("DiamondInit", contracts.initializer.code);
  const taken = new Set<Hex>();
  const cuts = contracts.facets.map((facet) => {
    const facetAddress = create(facet.name, linked(facet, library));
    // owner() is in two facets: adding a selector twice reverts the cut.
    const functionSelectors = selectorsOf(facet).filter((selector) => !taken.has(selector));
    for (const selector of functionSelectors) taken.add(selector);
    return { facetAddress, action: 0, functionSelectors };
  });
  const initCalldata = encodeFunctionData({ abi: parseAbi(["function init()"]) });
  const hub = create("Diamond", withArguments(contracts.diamond, [cuts, { owner: from, init, initCalldata }]), 12_000_000n);

  const registry = (kind: "app" | "dataset" | "workerpool"): Address => {
    const contract = contracts.registries[kind];
    const address = create(contract.name, contract.code);
    const baseUri = `https://nfts-metadata.iex.ec/${kind}/${chainId}/`;
    call(
      `${kind} registry initialize`,
      address,
      encodeFunctionData({ abi: APP_REGISTRY_ABI, functionName: "initialize", args: [zeroAddress] }),
    );
    call(
      `${kind} registry setBaseURI`,
      address,
      encodeFunctionData({ abi: APP_REGISTRY_ABI, functionName: "setBaseURI", args: [baseUri] }),
    );
    return address;
  };
  const appRegistry = registry("app");
  const datasetRegistry = registry("dataset");
  const workerpoolRegistry = registry("workerpool");

  const onHub = (name: string, data: Hex) => call(name, hub, data);
  onHub(
    "configure",
    encodeFunctionData({
      abi: HUB_ABI,
      functionName: "configure",
      args: [rlc, "Staked RLC", "SRLC", 9, appRegistry, datasetRegistry, workerpoolRegistry, zeroAddress],
    }),
  );
  onHub("setCallbackGas", encodeFunctionData({ abi: HUB_ABI, functionName: "setCallbackGas", args: [options.callbackGas ?? 200_000n] }));
  for (const { name, period } of options.categories ?? DEFAULT_CATEGORIES) {
    onHub(`createCategory ${name}`, encodeFunctionData({ abi: HUB_ABI, functionName: "createCategory", args: [name, '""', period] }));
  }
  const deployment: PocoDeployment = { chainId, native, hub, rlc, appRegistry, datasetRegistry, workerpoolRegistry, owner: from };
  return { steps, deployment };
}
