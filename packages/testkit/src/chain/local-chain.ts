import { type ChainTime, chainTime } from "@iexec-ts/poco";
import {
  type Address,
  createTestClient,
  encodeAbiParameters,
  type HDAccount,
  type Hex,
  http,
  keccak256,
  numberToHex,
  type PublicClient,
  type TestClient,
} from "viem";
import { testAccount } from "./accounts.ts";
import { type AnvilOptions, startAnvil } from "./anvil.ts";
import { type Assets, assetsOf } from "./assets.ts";
import type { PocoDeployment } from "./deploy-poco.ts";
import { type Ledger, ledgerOf } from "./ledger.ts";
import { createSender, type Sender } from "./sender.ts";
import { chainState, FUNDED_ACCOUNTS, nodeOptions } from "./state-file.ts";
import { type Trade, tradeOf } from "./trade.ts";
import { type Work, workOf } from "./work.ts";

export interface LocalChainOptions extends Omit<AnvilOptions, "loadState" | "dumpState" | "hardfork"> {
  /** The escrow holds the chain's own coin, gas is free and fees are those before London: as on Bellecour. */
  readonly native?: boolean;
}

/** A local chain that runs the real contracts, and hands to play every part of the protocol by. */
export interface LocalChain extends PocoDeployment, Ledger, Assets, Trade, Work {
  readonly rpcUrl: string;
  readonly wsUrl: string;
  readonly port: number;
  /** Process id of the node, for tests that freeze or kill it. */
  readonly pid: number;
  readonly client: PublicClient;
  readonly sender: Sender;
  /** Account of the test mnemonic; the first 60 hold 1,000,000 coins each. Account 0 owns the hub and the RLC. */
  account(index: number): HDAccount;
  /** A snapshot can be reverted to once. */
  snapshot(): Promise<Hex>;
  revert(snapshot: Hex): Promise<void>;
  /** Timestamp of the latest block. */
  now(): Promise<ChainTime>;
  /** SIDE EFFECTS: mines one block `seconds` later than now would be. */
  increaseTime(seconds: number): Promise<void>;
  /** The next block, whoever causes it, has exactly this timestamp. */
  setNextTime(time: bigint): Promise<void>;
  /** SIDE EFFECTS: gives a worker this score, as if it had earned it. */
  setScore(worker: Address, score: bigint): Promise<void>;
  /** SIDE EFFECTS: mines. More than a few hundred blocks are slow: move the time instead. */
  mine(blocks?: number): Promise<void>;
  /** Idempotent. */
  stop(): Promise<void>;
}

/**
 * Starts a chain from the cached state file: about 50 ms once the file exists, about a second the first time.
 *
 * Errors: NET-1001 port taken, NET-1002 the node did not start, NET-1003 no node for this platform, NET-1004 deployment failed.
 * SIDE EFFECTS: starts a node on loopback that ends with this process; writes the state file the first time.
 */
export async function startLocalChain(options: LocalChainOptions = {}, signal?: AbortSignal): Promise<LocalChain> {
  const { native = false, ...nodeSettings } = options;
  const chainId = options.chainId ?? (native ? 65_535 : 31_337);
  const { stateFile, deployment } = await chainState({ chainId, native });
  const node = await startAnvil(
    { accounts: FUNDED_ACCOUNTS, balance: 1_000_000, ...nodeOptions(native), ...nodeSettings, chainId, loadState: stateFile },
    signal,
  );
  const sender = createSender(node.url, chainId);
  const test: TestClient = createTestClient({ mode: "anvil", transport: http(node.url, { retryCount: 0 }) });
  const trade = tradeOf(deployment, sender);
  return {
    ...deployment,
    ...ledgerOf(node.url, deployment, sender),
    ...assetsOf(deployment, sender),
    ...trade,
    ...workOf(deployment, sender),
    rpcUrl: node.url,
    wsUrl: node.wsUrl,
    port: node.port,
    pid: node.pid,
    client: sender.client,
    sender,
    account: testAccount,
    snapshot: () => test.snapshot(),
    revert: (snapshot) => test.revert({ id: snapshot }),
    now: async () => chainTime((await sender.client.getBlock()).timestamp),
    increaseTime: async (seconds) => {
      await test.increaseTime({ seconds });
      await test.mine({ blocks: 1 });
    },
    setNextTime: (time) => test.setNextBlockTimestamp({ timestamp: time }),
    setScore: (worker, score) =>
      test.setStorageAt({ address: deployment.hub, index: scoreSlot(worker), value: numberToHex(score, { size: 32 }) }),
    mine: (blocks = 1) => test.mine({ blocks }),
    stop: () => node.stop(),
  };
}

/** @source PocoStorageLib: m_workerScores is at offset 18; chain.md 9 */
const WORKER_SCORES = 0x5862653c6982c162832160cf30593645e8487b257e44d77cdd6b51eee2651b00n + 18n;

const scoreSlot = (worker: Address): Hex =>
  keccak256(encodeAbiParameters([{ type: "address" }, { type: "uint256" }], [worker, WORKER_SCORES]));
