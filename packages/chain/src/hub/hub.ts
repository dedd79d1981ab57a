import {
  type Address,
  APP_ABI,
  APP_REGISTRY_ABI,
  DATASET_ABI,
  type DealId,
  HUB_ABI,
  type NanoRlc,
  nanoRlc,
  RLC_TOKEN_ABI,
  type TaskId,
  type TaskObservation,
  type Wei,
  WORKERPOOL_ABI,
  wei,
} from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { zeroAddress } from "viem";
import type { CategoryRecord, Head, Hub, HubConfiguration, RpcPool } from "../api.ts";
import { hubDomainSeparator } from "../rpc/endpoint.ts";
import { isBlockMissing } from "../rpc/node-texts.ts";
import { faultOf } from "../rpc/rpc-fault.ts";
import { type BatchReader, type BlockRef, createBatchReader, isContractRefusal, reading } from "./batch-reader.ts";
import { lowerCase, toAccount, toApp, toContribution, toDataset, toDeal, toTask, toWorkerpool } from "./decode.ts";

const WEI_PER_NANO_RLC = 10n ** 9n;
const OBSERVE_ATTEMPTS = 4;
const RETRY_MS = 500;

/**
 * Opens the PoCo hub at `address`: checks that it is one, and reads its configuration once.
 *
 * Errors: CHN-2001 no hub there, CHN-2002 unreadable, and those of the pool.
 */
export async function createHub(pool: RpcPool, address: Address): Promise<Hub> {
  const hub = lowerCase(address);
  const code = await reading("the hub's code", () => pool.client.getCode({ address: hub }));
  if (code === undefined || code === "0x") throw new CodedError("CHN-2001", { address: hub, reason: "no contract at this address" });
  const batch = await createBatchReader(pool.client);
  return new PocoHub(pool, batch, await readConfiguration(pool, batch, hub));
}

async function readConfiguration(pool: RpcPool, batch: BatchReader, address: Address): Promise<HubConfiguration> {
  const call = { address, abi: HUB_ABI } as const;
  try {
    const [token, appRegistry, datasetRegistry, workerpoolRegistry, teeBroker, callbackGas, separator] = await batch(
      "the hub's configuration",
      [
        { ...call, functionName: "token" },
        { ...call, functionName: "appregistry" },
        { ...call, functionName: "datasetregistry" },
        { ...call, functionName: "workerpoolregistry" },
        { ...call, functionName: "teebroker" },
        { ...call, functionName: "callbackgas" },
        { ...call, functionName: "eip712domain_separator" },
      ],
    );
    if (separator !== hubDomainSeparator(address, pool.chainId)) {
      throw new CodedError("CHN-2001", { address, reason: "its signing domain is of another address or chain" });
    }
    return {
      address,
      token: lowerCase(token),
      appRegistry: lowerCase(appRegistry),
      datasetRegistry: lowerCase(datasetRegistry),
      workerpoolRegistry: lowerCase(workerpoolRegistry),
      teeBroker: lowerCase(teeBroker),
      callbackGas,
      domainSeparator: lowerCase(separator),
    };
  } catch (error) {
    if (isContractRefusal(error))
      throw new CodedError("CHN-2001", { address, reason: "the contract there is not a PoCo hub" }, { cause: error });
    throw error;
  }
}

class PocoHub implements Hub {
  readonly configuration: HubConfiguration;
  readonly #pool: RpcPool;
  readonly #batch: BatchReader;

  constructor(pool: RpcPool, batch: BatchReader, configuration: HubConfiguration) {
    this.#pool = pool;
    this.#batch = batch;
    this.configuration = configuration;
  }

  get #call() {
    return { address: this.configuration.address, abi: HUB_ABI } as const;
  }

  async deal(id: DealId, at?: bigint) {
    const [raw] = await this.#batch("a deal", [{ ...this.#call, functionName: "viewDeal", args: [id] }], block(at));
    return toDeal(id, raw);
  }

  async task(id: TaskId, at?: bigint) {
    const [raw] = await this.#batch("a task", [{ ...this.#call, functionName: "viewTask", args: [id] }], block(at));
    return toTask(id, raw);
  }

  async contribution(id: TaskId, worker: Address, at?: bigint) {
    const [raw] = await this.#batch("a contribution", [{ ...this.#call, functionName: "viewContribution", args: [id, worker] }], block(at));
    return toContribution(raw);
  }

  async account(owner: Address, at?: bigint) {
    const [raw] = await this.#batch("an account", [{ ...this.#call, functionName: "viewAccount", args: [owner] }], block(at));
    return toAccount(raw);
  }

  async score(worker: Address, at?: bigint) {
    const [score] = await this.#batch("a score", [{ ...this.#call, functionName: "viewScore", args: [worker] }], block(at));
    return score;
  }

  async category(id: bigint): Promise<CategoryRecord | undefined> {
    return orNothing(async () => {
      const [raw] = await this.#batch("a category", [{ ...this.#call, functionName: "viewCategory", args: [id] }]);
      return { id, name: raw.name, period: raw.workClockTimeRef };
    });
  }

  async categories(): Promise<readonly CategoryRecord[]> {
    const [count] = await this.#batch("the number of categories", [{ ...this.#call, functionName: "countCategory" }]);
    const ids = Array.from({ length: Number(count) }, (_, index) => BigInt(index));
    if (ids.length === 0) return [];
    const calls = ids.map((id) => ({ ...this.#call, functionName: "viewCategory", args: [id] }) as const);
    const raws = await this.#batch("the categories", calls);
    return raws.map((raw, index) => ({ id: BigInt(index), name: raw.name, period: raw.workClockTimeRef }));
  }

  // The assets' own functions are read, not the hub's viewApp and the like: these are missing in PoCo 5.
  async app(address: Address) {
    const call = { address, abi: APP_ABI } as const;
    return this.#registered(this.configuration.appRegistry, address, async () =>
      toApp(
        address,
        await this.#batch("an app", [
          { ...call, functionName: "owner" },
          { ...call, functionName: "m_appName" },
          { ...call, functionName: "m_appType" },
          { ...call, functionName: "m_appMultiaddr" },
          { ...call, functionName: "m_appChecksum" },
          { ...call, functionName: "m_appMREnclave" },
        ]),
      ),
    );
  }

  async dataset(address: Address) {
    const call = { address, abi: DATASET_ABI } as const;
    return this.#registered(this.configuration.datasetRegistry, address, async () =>
      toDataset(
        address,
        await this.#batch("a dataset", [
          { ...call, functionName: "owner" },
          { ...call, functionName: "m_datasetName" },
          { ...call, functionName: "m_datasetMultiaddr" },
          { ...call, functionName: "m_datasetChecksum" },
        ]),
      ),
    );
  }

  async workerpool(address: Address) {
    const call = { address, abi: WORKERPOOL_ABI } as const;
    return this.#registered(this.configuration.workerpoolRegistry, address, async () =>
      toWorkerpool(
        address,
        await this.#batch("a workerpool", [
          { ...call, functionName: "owner" },
          { ...call, functionName: "m_workerpoolDescription" },
          { ...call, functionName: "m_workerStakeRatioPolicy" },
          { ...call, functionName: "m_schedulerRewardRatioPolicy" },
        ]),
      ),
    );
  }

  async observe(id: TaskId, worker: Address): Promise<TaskObservation> {
    // Bounded: a few attempts.
    for (let attempt = 1; ; attempt += 1) {
      const head = this.#pool.head();
      try {
        return await this.#observeAt(id, worker, head);
      } catch (error) {
        // The block was replaced meanwhile, or the node that answered does not have it yet.
        const fault = faultOf(error);
        if (attempt === OBSERVE_ATTEMPTS || fault === undefined || !isBlockMissing(fault)) throw error;
        await nextHead(this.#pool);
      }
    }
  }

  async #observeAt(id: TaskId, worker: Address, head: Head): Promise<TaskObservation> {
    const { number, hash, timestamp } = head;
    const read = (at: BlockRef) =>
      this.#batch(
        "a task",
        [
          { ...this.#call, functionName: "viewTask", args: [id] },
          { ...this.#call, functionName: "viewContribution", args: [id, worker] },
          { ...this.#call, functionName: "viewAccount", args: [worker] },
        ],
        at,
      );
    const at = { hash };
    const [rawTask, rawContribution, rawAccount] = await read(at);
    const task = toTask(id, rawTask);
    const deal = task === undefined ? undefined : await this.#dealAt(task.dealId, at);
    return { block: { number, hash, timestamp }, task, deal, ours: toContribution(rawContribution), account: toAccount(rawAccount) };
  }

  async #dealAt(id: DealId, at: BlockRef) {
    const [raw] = await this.#batch("a deal", [{ ...this.#call, functionName: "viewDeal", args: [id] }], at);
    return toDeal(id, raw);
  }

  async nativeBalance(owner: Address): Promise<Wei> {
    return wei(await reading("a balance", () => this.#pool.client.getBalance({ address: owner, blockTag: "latest" })));
  }

  async rlcBalance(owner: Address): Promise<NanoRlc> {
    const { token } = this.configuration;
    if (token === zeroAddress) return nanoRlc((await this.nativeBalance(owner)) / WEI_PER_NANO_RLC);
    const [balance] = await this.#batch("an RLC balance", [
      { address: token, abi: RLC_TOKEN_ABI, functionName: "balanceOf", args: [owner] },
    ]);
    return nanoRlc(balance);
  }

  async #registered<T>(registry: Address, address: Address, read: () => Promise<T>): Promise<T | undefined> {
    const [known] = await this.#batch("a registry", [
      { address: registry, abi: APP_REGISTRY_ABI, functionName: "isRegistered", args: [address] },
    ]);
    return known ? read() : undefined;
  }
}

/** Resolves at the next head, or after a moment when there is none. */
function nextHead(pool: RpcPool): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      unsubscribe();
      resolve();
    };
    const unsubscribe = pool.onHead(done);
    const timer = setTimeout(done, RETRY_MS);
  });
}

const block = (at: bigint | undefined): BlockRef => (at === undefined ? undefined : { number: at });

async function orNothing<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isContractRefusal(error)) return undefined;
    throw error;
  }
}
