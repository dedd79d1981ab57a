import { APP_REGISTRY_ABI, DATASET_REGISTRY_ABI, HUB_ABI, WORKERPOOL_ABI, WORKERPOOL_REGISTRY_ABI } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import {
  type Address,
  encodeFunctionData,
  getAddress,
  type Hex,
  type LocalAccount,
  numberToHex,
  parseEventLogs,
  stringToHex,
  type TransactionReceipt,
  zeroHash,
} from "viem";
import { testAccount } from "./accounts.ts";
import type { PocoDeployment } from "./deploy-poco.ts";
import type { Sender } from "./sender.ts";

export interface NewApp {
  readonly name: string;
  /** Image reference, stored as UTF-8 bytes. */
  readonly image: string;
  /** Default "DOCKER". */
  readonly type?: string;
  /** Digest of the image; default zero. */
  readonly checksum?: Hex;
  readonly mrenclave?: Hex;
}
export interface NewDataset {
  readonly name: string;
  /** URL or /ipfs/ path as text, or the bytes of a multiaddr as hex. */
  readonly location: string | { readonly bytes: Hex };
  /** sha256 of the file as stored; default zero (unchecked). */
  readonly checksum?: Hex;
}
export interface NewWorkerpool {
  readonly description: string;
  /** Per cent of the pool price that a worker stakes; default 30. */
  readonly workerStakeRatio?: bigint;
  /** Per cent of the reward that the scheduler keeps; default 1. */
  readonly schedulerRewardRatio?: bigint;
}

/** Creation of what is traded. Every call sends one transaction of the owner. Errors: NET-1006. */
export interface Assets {
  createApp(owner: LocalAccount, app: NewApp): Promise<Address>;
  createDataset(owner: LocalAccount, dataset: NewDataset): Promise<Address>;
  /** Sends a second transaction when a ratio is given. */
  createWorkerpool(owner: LocalAccount, workerpool: NewWorkerpool): Promise<Address>;
  /** Returns the id. A period of a few seconds lets tests see deadlines pass. */
  createCategory(name: string, periodSeconds: bigint): Promise<bigint>;
}

const DEFAULT_STAKE_RATIO = 30n;
const DEFAULT_REWARD_RATIO = 1n;

export function assetsOf(deployment: PocoDeployment, sender: Sender): Assets {
  return {
    async createApp(owner, app) {
      const data = encodeFunctionData({
        abi: APP_REGISTRY_ABI,
        functionName: "createApp",
        args: [owner.address, app.name, app.type ?? "DOCKER", stringToHex(app.image), app.checksum ?? zeroHash, app.mrenclave ?? "0x"],
      });
      return createdAsset(await sender.send(owner, { what: "createApp", to: deployment.appRegistry, data }));
    },
    async createDataset(owner, dataset) {
      const location = typeof dataset.location === "string" ? stringToHex(dataset.location) : dataset.location.bytes;
      const data = encodeFunctionData({
        abi: DATASET_REGISTRY_ABI,
        functionName: "createDataset",
        args: [owner.address, dataset.name, location, dataset.checksum ?? zeroHash],
      });
      return createdAsset(await sender.send(owner, { what: "createDataset", to: deployment.datasetRegistry, data }));
    },
    async createWorkerpool(owner, pool) {
      const data = encodeFunctionData({
        abi: WORKERPOOL_REGISTRY_ABI,
        functionName: "createWorkerpool",
        args: [owner.address, pool.description],
      });
      const receipt = await sender.send(owner, { what: "createWorkerpool", to: deployment.workerpoolRegistry, data });
      const address = createdAsset(receipt);
      if (pool.workerStakeRatio !== undefined || pool.schedulerRewardRatio !== undefined) {
        const policy = encodeFunctionData({
          abi: WORKERPOOL_ABI,
          functionName: "changePolicy",
          args: [pool.workerStakeRatio ?? DEFAULT_STAKE_RATIO, pool.schedulerRewardRatio ?? DEFAULT_REWARD_RATIO],
        });
        await sender.send(owner, { what: "changePolicy", to: address, data: policy });
      }
      return address;
    },
    async createCategory(name, periodSeconds) {
      const data = encodeFunctionData({ abi: HUB_ABI, functionName: "createCategory", args: [name, '""', periodSeconds] });
      const receipt = await sender.send(testAccount(0), { what: "createCategory", to: deployment.hub, data });
      const [event] = parseEventLogs({ abi: HUB_ABI, logs: receipt.logs, eventName: "CreateCategory" });
      if (event === undefined) throw new CodedError("NET-1006", { what: "createCategory", reason: "no CreateCategory event" });
      return event.args.catid;
    },
  };
}

/** A registry is an ERC-721 whose token id is the new asset's address. */
function createdAsset(receipt: TransactionReceipt): Address {
  const [event] = parseEventLogs({ abi: APP_REGISTRY_ABI, logs: receipt.logs, eventName: "Transfer" });
  if (event === undefined) throw new CodedError("NET-1006", { what: "create asset", reason: "no Transfer event" });
  return getAddress(numberToHex(event.args.tokenId, { size: 20 }));
}
