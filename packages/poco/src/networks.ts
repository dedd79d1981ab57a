import type { Address, Bytes32 } from "./structs.ts";

/** One chain with PoCo on it. Registries and token are read from the hub, never from here. */
export interface Network {
  readonly chainId: number;
  readonly name: string;
  readonly hub: Address;
  /** What `eip712domain_separator()` must answer. */
  readonly domainSeparator: Bytes32;
  /** `native`: the chain's coin is the escrow, 1 nRLC = 10^9 wei. */
  readonly escrow: "token" | "native";
  /** Zero address: native. */
  readonly token: Address;
  readonly defaultRpcUrl: string;
  readonly blockTimeMs: number;
  /** `eip1559`, or `free`: legacy transactions at gas price 0. */
  readonly gas: "eip1559" | "free";
  readonly contracts: "6.2.0" | "5.5.0";
  readonly marketUrl: string;
  readonly smsUrls: readonly string[];
}

/** @source chain.md 4 */
export const NETWORKS = {
  "arbitrum-one": {
    chainId: 42161,
    name: "Arbitrum One",
    hub: "0x098bfcb1e50ebca0baa92c12ea0c3f045a1ad9f0",
    domainSeparator: "0x3b211ab198ac0c745a332d34416d88c417c2f06a87bd9f0d2fdd37b242c75402",
    escrow: "token",
    token: "0xe649e6a1f2afc63ca268c2363691cecaf75cf47c",
    defaultRpcUrl: "https://arb1.arbitrum.io/rpc",
    blockTimeMs: 250,
    gas: "eip1559",
    contracts: "6.2.0",
    marketUrl: "https://api.market.arbitrum-mainnet.iex.ec",
    smsUrls: ["https://sms.arbitrum-mainnet.iex.ec"],
  },
  "arbitrum-sepolia": {
    chainId: 421614,
    name: "Arbitrum Sepolia",
    hub: "0xb2157bf2fab286b2a4170e3491ac39770111da3e",
    domainSeparator: "0xde6e7a8f1c22386ba73ee5376e4ec7089a2d2b07ebbfce54d4cb386daa34cc92",
    escrow: "token",
    token: "0x9923ed3cbd90cd78b910c475f9a731a6e0b8c963",
    defaultRpcUrl: "https://sepolia-rollup.arbitrum.io/rpc",
    blockTimeMs: 250,
    gas: "eip1559",
    contracts: "6.2.0",
    marketUrl: "https://api-market.arbitrum-sepolia-testnet.iex.ec",
    smsUrls: ["https://sms.arbitrum-sepolia-testnet.iex.ec"],
  },
  bellecour: {
    chainId: 134,
    name: "Bellecour",
    hub: "0x3eca1b216a7df1c7689aeb259ffb83adfb894e7f",
    domainSeparator: "0xf2cbd98a556869939d25b73c3fa68ba45f19932f8c9a06f744c98290ed9ef860",
    escrow: "native",
    token: "0x0000000000000000000000000000000000000000",
    defaultRpcUrl: "https://bellecour.iex.ec",
    blockTimeMs: 5_000,
    gas: "free",
    contracts: "5.5.0",
    marketUrl: "https://api.market.v8-bellecour.iex.ec",
    smsUrls: ["https://sms.iex.ec"],
  },
} as const satisfies Record<string, Network>;
export type NetworkName = keyof typeof NETWORKS;

/** The public network with this chain id, or undefined: a local or private chain, whose hub must be configured. */
export function networkOf(chainId: number): Network | undefined {
  return Object.values(NETWORKS).find((network) => network.chainId === chainId);
}
