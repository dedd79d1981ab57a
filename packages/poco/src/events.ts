import type { Bytes32 } from "./structs.ts";

/** topic0 of the hub's events; decode their logs with `HUB_ABI`. @source chain.md 12 */
export const EVENT_TOPICS = {
  SchedulerNotice: "0x692ad61076dceddd0f1a861f737553dd61fc8501cf4190d29c4e90af6607f765",
  OrdersMatched: "0xd811b592ed0899225773e8933d8df64bd0b62761a9d7aad4ed5b22735f4610a4",
  DealSponsored: "0x81eec3d5401bb1693dbef61f0800bc16602905d6677d691c1262d6f08456e9a0",
  TaskInitialize: "0x252992fb0468d68d6a5784ec03214f0d0a362083f2d7ebd157af43b017a22e06",
  TaskContribute: "0x3fdb8d7797562d49a81078dbf7fa1771958ea452f8b13d1148383bd9506aecfb",
  TaskConsensus: "0xf6d49bf3e05d33a4bc497d3c793fb5756388bb96b947cf51bb60aaecb0e022e3",
  TaskReveal: "0x4b1763d473ac8fa80b4432ba90047e1b92444d8fabc55e6a002d9b1a316d7959",
  TaskReopen: "0x3afe0f24796ce653c6ab1f3e7aba5ce564eece5e82aee724aff28253e829f07b",
  TaskFinalize: "0x78ce8a8bc0fcb704e8ba3b3dbb36aa88002df8038128b4af2f27ef65db665044",
  TaskClaimed: "0xcbc308b5f91040d2659a5201858344b0b583cd2f9e18e8470c2fa052c5b21ff8",
  AccurateContribution: "0x9703f4589802246c80b822e63697180da799e363cd1b6fd9465a5e5574d53492",
  FaultyContribution: "0xf868788948d55240774fdbad06555105ef20bbc70d1b7eccda982b65e11e79bb",
  Lock: "0x625fed9875dada8643f2418b838ae0bc78d9a148a18eee4ee1979ff0f3f5d427",
  Unlock: "0x6381d9813cabeb57471b5a7e05078e64845ccdb563146a6911d536f24ce960f1",
  Reward: "0xc2aca55aa696938c7e95842e8939ca0fbb2120a3eeb8948cdcee2b70da566672",
  Seize: "0x1bccc549c38561cd5b57f0db11ceb8dde1b0b6ee05ab5e155b51c7c5ba64becb",
  Transfer: "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
} as const satisfies Record<string, Bytes32>;

/** On a workerpool's own contract. @source chain.md 12 */
export const POLICY_UPDATE_TOPIC: Bytes32 = "0x61f37ef3a6d587ce2d6be79492e1fac570f2745787015db7ed95ad4397b05c1e";

/** Any 20-byte address as a topic. */
export function addressTopic(address: `0x${string}`): Bytes32 {
  return `0x${address.slice(2).toLowerCase().padStart(64, "0")}`;
}
