import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import type { Head, Hub, RpcPool, TxIntent, TxOutcome, TxQueue } from "@iexec-ts/chain";
import { type Address, type Bytes32, chainTime, nanoRlc, type TaskObservation, wei } from "@iexec-ts/poco";
import type { PulledImage, Sandbox } from "@iexec-ts/sandbox";
import { type Clock, CodedError, silentLogger, systemClock } from "@iexec-ts/service";
import { createPublicClient, custom } from "viem";
import { Journal } from "../journal.ts";
import type { Ports } from "../ports.ts";

export const WORKER: Address = "0x2c7536e3605d9c16a7a3d7b1898e529396a65c23";
export const TASK: Bytes32 = `0x${"11".repeat(32)}`;
const DEAL: Bytes32 = `0x${"22".repeat(32)}`;
const ZERO: Bytes32 = `0x${"00".repeat(32)}`;
const NOBODY: Address = `0x${"00".repeat(20)}`;
const APP: Address = `0x${"a9".repeat(20)}`;
const asset = (pointer: Address) => ({ pointer, owner: NOBODY, price: nanoRlc(0n) });
const deal = {
  id: DEAL,
  app: asset(APP),
  dataset: asset(NOBODY),
  workerpool: asset(NOBODY),
  trust: 1n,
  category: 0n,
  tag: ZERO,
  requester: NOBODY,
  beneficiary: NOBODY,
  callback: NOBODY,
  params: "",
  startTime: chainTime(1n),
  botFirst: 0n,
  botSize: 1n,
  workerStake: nanoRlc(10n),
  schedulerRewardRatio: 1n,
  sponsor: NOBODY,
};
const PULLED: PulledImage = { id: "sha256:1", digests: [], bytes: 1, stale: false };

const notThere = (what: string): never => {
  throw new CodedError("CHN-1003", { method: what, reason: "not part of this world" });
};

/** An active task whose contribution was not made yet: what a node says unless a test says something else. */
export function active(): TaskObservation {
  return {
    block: { number: 7n, hash: ZERO, timestamp: chainTime(100n) },
    task: {
      id: TASK,
      status: "ACTIVE",
      dealId: DEAL,
      index: 0n,
      timeref: 300n,
      contributionDeadline: chainTime(1_000n),
      revealDeadline: chainTime(2_000n),
      finalDeadline: chainTime(3_000n),
      consensusValue: ZERO,
      revealCounter: 0n,
      winnerCounter: 1n,
      contributors: [],
      resultDigest: ZERO,
      results: "0x",
      resultsCallback: "0x",
    },
    deal,
    ours: { status: "UNSET", resultHash: ZERO, resultSeal: ZERO, enclaveChallenge: NOBODY, weight: 1n },
    account: { stake: nanoRlc(100n), locked: nanoRlc(0n) },
  };
}

/** The peers of one replicate, each answering as a test wants it: a journal in memory and everything else by hand. */
export class World {
  readonly journal: Journal;
  readonly tasksDir = mkdtempSync(join(tmpdir(), "iexec-engine-"));
  readonly submitted: TxIntent[] = [];
  readonly #heads = new Set<(head: Head) => void>();
  #head: Head = { number: 7n, hash: ZERO, timestamp: chainTime(100n), baseFeePerGas: undefined };
  observe: () => Promise<TaskObservation> = async () => active();
  pull: (signal: AbortSignal | undefined, onAlive: () => void) => Promise<PulledImage> = async () => PULLED;
  submit: (intent: TxIntent, signal: AbortSignal | undefined) => Promise<TxOutcome> = () => new Promise(() => undefined);

  constructor() {
    this.journal = new Journal(":memory:", WORKER, () => new Date());
    this.journal.open({
      authorization: {
        workerWallet: WORKER,
        chainTaskId: TASK,
        enclaveChallenge: NOBODY,
        dealId: DEAL,
        taskIndex: 0,
        signature: { value: `0x${"3".repeat(130)}` },
      },
      smsUrl: undefined,
      stake: 10n,
      finalDeadline: 3_000n,
    });
  }

  /** Of the contribution that the journal holds. */
  get resultHash(): Bytes32 {
    return this.journal.contribution(TASK)?.resultHash ?? ZERO;
  }

  get resultSeal(): Bytes32 {
    return this.journal.contribution(TASK)?.resultSeal ?? ZERO;
  }

  get statuses(): readonly string[] {
    return this.journal.history(TASK).map(({ status }) => status);
  }

  /** A new block. */
  mine(): void {
    this.#head = { ...this.#head, number: this.#head.number + 1n };
    for (const listener of this.#heads) listener(this.#head);
  }

  /** Waits until `look` is true, turn by turn. */
  async until(what: string, look: () => boolean, limitMs = 5_000): Promise<void> {
    const began = performance.now();
    while (!look()) {
      if (performance.now() - began > limitMs) throw new Error(`${what} did not come: ${this.statuses.join(" ")}`);
      await turn();
    }
  }

  ports(clock: Clock = systemClock): Ports {
    return {
      name: "worker",
      worker: WORKER,
      tasksDir: this.tasksDir,
      journal: this.journal,
      pool: this.#pool(),
      hub: this.#hub(),
      queue: this.#queue(),
      sandbox: this.#sandbox(),
      isolation: { ready: async () => undefined },
      results: { upload: async () => notThere("upload"), find: async () => undefined },
      policy: {
        limits: { memoryBytes: 1, cpus: 1, pids: 1, tmpBytes: 1, outputBytes: 1_000_000, logBytes: 1 },
        network: "none",
        fetch: {
          limits: { maxBytes: 1, connectMs: 1, idleMs: 1, totalMs: 1_000, maxRedirects: 0, tries: 1 },
          allowPrivate: [],
          gateways: [],
        },
        output: {
          entries: 10,
          depth: 3,
          pathBytes: 100,
          fileBytes: 1_000,
          totalBytes: 1_000_000,
          computedJsonBytes: 1_000,
          callbackBytes: 100,
        },
        pullTimeout: { minMinutes: 5, maxMinutes: 30 },
        environment: "union",
        errorText: "9.2",
      },
      confirmations: 1n,
      clock,
      log: silentLogger,
      checkpoint: () => undefined,
    };
  }

  close(): void {
    this.journal.shut();
    rmSync(this.tasksDir, { recursive: true, force: true });
  }

  #pool(): RpcPool {
    return {
      chainId: 1,
      client: createPublicClient({ transport: custom({ request: async () => notThere("a read") }) }),
      head: () => this.#head,
      onHead: (listener) => {
        this.#heads.add(listener);
        return () => this.#heads.delete(listener);
      },
      waitForBlock: () => new Promise(() => undefined),
      waitForTime: () => new Promise(() => undefined),
      broadcast: async () => notThere("broadcast"),
      endpoints: () => [],
      close: async () => undefined,
    };
  }

  #hub(): Hub {
    return {
      configuration: {
        address: NOBODY,
        token: NOBODY,
        appRegistry: NOBODY,
        datasetRegistry: NOBODY,
        workerpoolRegistry: NOBODY,
        teeBroker: NOBODY,
        callbackGas: 0n,
        domainSeparator: ZERO,
      },
      deal: async () => deal,
      task: async () => (await this.observe()).task,
      contribution: async () => (await this.observe()).ours,
      account: async () => (await this.observe()).account,
      score: async () => 0n,
      category: async () => ({ id: 0n, name: "XS", period: 300n }),
      categories: async () => [],
      app: async () => ({ address: APP, owner: NOBODY, name: "app", type: "DOCKER", multiaddr: "app:1", checksum: ZERO, mrenclave: "0x" }),
      dataset: async () => undefined,
      workerpool: async () => undefined,
      observe: () => this.observe(),
      nativeBalance: async () => wei(10n ** 18n),
      rlcBalance: async () => nanoRlc(0n),
    };
  }

  #queue(): TxQueue {
    return {
      address: WORKER,
      submit: (intent, signal) => {
        this.submitted.push(intent);
        return this.submit(intent, signal);
      },
      quote: async () => ({ cost: wei(1n), feePerGas: 1n, aboveCap: false }),
      list: async () => [],
      onChange: () => () => undefined,
      bump: async () => notThere("bump"),
      cancel: async () => notThere("cancel"),
      close: async () => undefined,
    };
  }

  #sandbox(): Sandbox {
    return {
      inspectEngine: async () => notThere("inspect"),
      pull: (_image, { onAlive = () => undefined }, signal) => this.pull(signal, onAlive),
      findImage: async () => undefined,
      run: async () => notThere("run"),
      list: async () => [],
      reap: async () => [],
      close: async () => undefined,
    };
  }
}
