import { mkdtempSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Hub, RpcPool, TxQueue } from "@iexec-ts/chain";
import { type ChainTask, chainTime, type Deal, nanoRlc, type ReplicateStatus, type TaskObservation, wei } from "@iexec-ts/poco";
import { createFakeSandbox, type FakeApp, FakeEngine, type RunSpec } from "@iexec-ts/sandbox";
import { CodedError, silentLogger, systemClock } from "@iexec-ts/service";
import { zeroAddress, zeroHash } from "viem";
import { Journal } from "../journal.ts";
import type { Ports } from "../ports.ts";

export const WORKER = `0x${"a1".repeat(20)}` as const;
export const TASK = `0x${"11".repeat(32)}` as const;
export const DEAL = `0x${"22".repeat(32)}` as const;
export const IMAGE = "registry.test/app:1";
const PERIOD_SECONDS = 60n;
/** Block time at which the task began. */
const BEGAN = 1_000_000n;
const MIB = 2 ** 20;
const asset = { pointer: zeroAddress, owner: zeroAddress, price: nanoRlc(0n) };

/** How far a replicate has got when a stage begins. */
export const BEFORE = {
  DOWNLOAD_APP: ["RUNNING"],
  DOWNLOAD_DATA: ["RUNNING", "APP_DOWNLOADING", "APP_DOWNLOADED"],
  COMPUTE: ["RUNNING", "APP_DOWNLOADING", "APP_DOWNLOADED", "DATA_DOWNLOADING", "DATA_DOWNLOADED"],
  SEAL_ERROR: ["RUNNING", "APP_DOWNLOADING", "APP_DOWNLOAD_FAILED"],
} as const satisfies Record<string, readonly ReplicateStatus[]>;

const absent = (what: string) => (): never => {
  throw new CodedError("SVC-1000", { reason: `this world has no ${what}` });
};

/** One replicate with real files, a real journal and a fake engine; chain, upload and isolation answer as told. */
export class StageWorld {
  readonly dir = mkdtempSync(join(tmpdir(), "stage-"));
  readonly journal = new Journal(":memory:", WORKER, () => new Date());
  readonly engine = new FakeEngine(systemClock);
  /** Seconds since the task began. */
  age = 0n;
  params = "{}";
  /** What these throw instead of answering. */
  readonly failures: Partial<Record<"observe" | "deal" | "isolation" | "upload" | "submit", unknown>> = {};

  constructor() {
    this.journal.open({
      authorization: {
        workerWallet: WORKER,
        chainTaskId: TASK,
        enclaveChallenge: `0x${"0".repeat(40)}`,
        dealId: DEAL,
        taskIndex: 0,
        signature: { value: `0x${"3".repeat(130)}` },
      },
      smsUrl: undefined,
      stake: 1n,
      finalDeadline: BEGAN + 10n * PERIOD_SECONDS,
    });
    this.publish({});
  }

  /** Sets what the app does. By default it writes a small good output. */
  publish(app: Partial<FakeApp>): void {
    const effect = async ({ mounts }: RunSpec): Promise<void> => {
      const out = mounts.find(({ readOnly }) => !readOnly)?.host ?? "";
      await writeFile(join(out, "result.txt"), "fine");
      await writeFile(join(out, "computed.json"), JSON.stringify({ "deterministic-output-path": "/iexec_out/result.txt" }));
    };
    this.engine.publish(IMAGE, { effect, ...app });
  }

  /** Brings the replicate to where this stage begins, with its image on the host. */
  async reach(statuses: readonly ReplicateStatus[]): Promise<void> {
    for (const status of statuses) this.journal.record(TASK, status);
    if (statuses.includes("APP_DOWNLOADED")) await this.ports.sandbox.pull(IMAGE, { timeoutMs: 1 });
  }

  get history(): readonly ReplicateStatus[] {
    return this.journal.history(TASK).map(({ status }) => status);
  }

  async close(): Promise<void> {
    this.journal.shut();
    await rm(this.dir, { recursive: true, force: true });
  }

  #may(what: keyof StageWorld["failures"]): void {
    if (this.failures[what] !== undefined) throw this.failures[what];
  }

  get #deal(): Deal {
    return {
      id: DEAL,
      app: { ...asset, pointer: `0x${"44".repeat(20)}` },
      dataset: asset,
      workerpool: asset,
      trust: 1n,
      category: 0n,
      tag: zeroHash,
      requester: zeroAddress,
      beneficiary: zeroAddress,
      callback: zeroAddress,
      params: this.params,
      startTime: chainTime(BEGAN),
      botFirst: 0n,
      botSize: 1n,
      workerStake: nanoRlc(1n),
      schedulerRewardRatio: 0n,
      sponsor: zeroAddress,
    };
  }

  #observation(): TaskObservation {
    const task: ChainTask = {
      id: TASK,
      status: "ACTIVE",
      dealId: DEAL,
      index: 0n,
      timeref: PERIOD_SECONDS,
      contributionDeadline: chainTime(BEGAN + 7n * PERIOD_SECONDS),
      revealDeadline: chainTime(0n),
      finalDeadline: chainTime(BEGAN + 10n * PERIOD_SECONDS),
      consensusValue: zeroHash,
      revealCounter: 0n,
      winnerCounter: 0n,
      contributors: [],
      resultDigest: zeroHash,
      results: "0x",
      resultsCallback: "0x",
    };
    return {
      block: { number: 1n, hash: zeroHash, timestamp: chainTime(BEGAN + this.age) },
      task,
      deal: this.#deal,
      ours: { status: "UNSET", resultHash: zeroHash, resultSeal: zeroHash, enclaveChallenge: zeroAddress, weight: 0n },
      account: { stake: nanoRlc(10n), locked: nanoRlc(0n) },
    };
  }

  readonly #hub: Hub = {
    configuration: {
      address: zeroAddress,
      token: zeroAddress,
      appRegistry: zeroAddress,
      datasetRegistry: zeroAddress,
      workerpoolRegistry: zeroAddress,
      teeBroker: zeroAddress,
      callbackGas: 0n,
      domainSeparator: zeroHash,
    },
    deal: async () => {
      this.#may("deal");
      return this.#deal;
    },
    app: async (address) => ({
      address,
      owner: zeroAddress,
      name: "app",
      type: "DOCKER",
      multiaddr: IMAGE,
      checksum: zeroHash,
      mrenclave: "0x",
    }),
    category: async (id) => ({ id, name: "short", period: PERIOD_SECONDS }),
    observe: async () => {
      this.#may("observe");
      return this.#observation();
    },
    nativeBalance: async () => wei(10n ** 18n),
    task: absent("task"),
    contribution: absent("contribution"),
    account: absent("account"),
    score: absent("score"),
    categories: absent("categories"),
    dataset: absent("dataset"),
    workerpool: absent("workerpool"),
    rlcBalance: absent("balance"),
  };

  readonly #queue: TxQueue = {
    address: WORKER,
    submit: async () => {
      this.#may("submit");
      return { kind: "refused", reason: "this world mines nothing" };
    },
    quote: async () => ({ cost: wei(1n), feePerGas: 1n, aboveCap: false }),
    list: async () => [],
    onChange: () => () => undefined,
    bump: absent("bump"),
    cancel: absent("cancel"),
    close: async () => undefined,
  };

  readonly #pool: Pick<RpcPool, "onHead" | "waitForBlock"> = { onHead: () => () => undefined, waitForBlock: absent("block") };

  readonly ports: Ports = {
    name: "worker",
    worker: WORKER,
    tasksDir: join(this.dir, "tasks"),
    journal: this.journal,
    pool: this.#pool,
    hub: this.#hub,
    queue: this.#queue,
    sandbox: createFakeSandbox(this.engine),
    isolation: {
      ready: async () => this.#may("isolation"),
    },
    results: {
      upload: async () => {
        this.#may("upload");
        return "bafy";
      },
      find: async () => undefined,
    },
    policy: {
      limits: { memoryBytes: 64 * MIB, cpus: 1, pids: 64, tmpBytes: MIB, outputBytes: MIB, logBytes: MIB },
      network: "none",
      fetch: {
        limits: { maxBytes: MIB, connectMs: 1_000, idleMs: 1_000, totalMs: 5_000, maxRedirects: 1, tries: 1 },
        allowPrivate: ["127.0.0.1"],
        gateways: [],
      },
      output: {
        entries: 10,
        depth: 4,
        pathBytes: 1_024,
        fileBytes: MIB,
        totalBytes: MIB,
        computedJsonBytes: MIB,
        callbackBytes: 1_024,
      },
      pullTimeout: { minMinutes: 0, maxMinutes: 0 },
      environment: "union",
      errorText: "9.2",
    },
    confirmations: 1n,
    clock: systemClock,
    log: silentLogger,
    checkpoint: () => undefined,
  };
}
