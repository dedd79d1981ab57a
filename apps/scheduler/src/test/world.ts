import { createServer } from "node:http";
import { type Address, lowerHex, type TaskId } from "@iexec-ts/poco";
import { createLogger, type Logger, silentLogger } from "@iexec-ts/service";
import {
  type LocalChain,
  type MatchedDeal,
  type PostgresServer,
  startLocalChain,
  startPostgres,
  type TestDatabase,
} from "@iexec-ts/testkit";
import { toHex } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { z } from "zod";
import type { SchedulerDeps, SchedulerOptions } from "../options.ts";
import { type Scheduler, start } from "../start.ts";
import { digestOf, HandWorker } from "./hand-worker.ts";

const RLC = 1_000_000_000n;
const VIEW = z.object({
  status: z.string(),
  failure: z.string().optional(),
  resultLink: z.string().optional(),
  closed: z.boolean(),
  history: z.array(z.object({ status: z.string() })),
  replicates: z.array(
    z.object({
      wallet: z.string(),
      status: z.string(),
      alive: z.boolean(),
      chainStatus: z.string(),
      history: z.array(z.object({ status: z.string(), setBy: z.string(), cause: z.string().optional() })),
    }),
  ),
  transactions: z.array(z.object({ kind: z.string(), outcome: z.string().optional() })),
  chain: z.object({ status: z.string() }).nullable(),
});
export type View = z.output<typeof VIEW>;

/** A chain, a Postgres, a workerpool and a result proxy's lookup, on which schedulers are started and stopped. */
export interface World {
  readonly chain: LocalChain;
  readonly workerpool: Address;
  readonly database: TestDatabase;
  readonly postgres: PostgresServer;
  /** CIDs by task id, as a result proxy would have them. */
  readonly stored: Map<string, string>;
  options(more?: Partial<SchedulerOptions>): SchedulerOptions;
  scheduler(more?: Partial<SchedulerOptions>, deps?: SchedulerDeps): Promise<Scheduler>;
  buy(trust: bigint, more?: { readonly volume?: bigint; readonly category?: bigint; readonly tag?: `0x${string}` }): Promise<MatchedDeal>;
  worker(index: number, scheduler: Scheduler): Promise<HandWorker>;
  view(scheduler: Scheduler, taskId: TaskId): Promise<View>;
  /** Resolves once the view of a task satisfies the test. */
  until(scheduler: Scheduler, taskId: TaskId, what: string, test: (view: View) => boolean): Promise<View>;
  close(): Promise<void>;
}

/** A real-looking CIDv0. */
export const CID = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";
export const LINK = `{ "storage": "ipfs", "location": "/ipfs/${CID}" }`;
const OWNER = 1;
const APP_OWNER = 2;
const REQUESTER = 3;
const WAIT_MS = 45_000;

async function resultLookup(stored: ReadonlyMap<string, string>): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const cid = stored.get(/^\/v1\/results\/(0x[0-9a-f]+)\/ipfshash$/.exec(request.url ?? "")?.[1] ?? "");
    response.writeHead(cid === undefined ? 404 : 200).end(cid);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** What a test file starts once. */
export interface Ground {
  readonly chain: LocalChain;
  readonly postgres: PostgresServer;
  close(): Promise<void>;
}

export async function openGround(): Promise<Ground> {
  const [chain, postgres] = await Promise.all([startLocalChain(), startPostgres()]);
  return {
    chain,
    postgres,
    async close() {
      await Promise.all([chain.stop(), postgres.stop()]);
    },
  };
}

/** A workerpool and a database of its own on shared ground, so that tests do not see each other's deals. */
export async function openWorld({ chain, postgres }: Ground): Promise<World> {
  const stored = new Map<string, string>();
  const [database, lookup] = await Promise.all([postgres.createDatabase(), resultLookup(stored)]);
  const owner = privateKeyToAccount(toHex(chain.account(OWNER).getHdKey().privateKey ?? new Uint8Array(32)));
  const workerpool = lowerHex(await chain.createWorkerpool(owner, { description: `pool of ${database.name}` }));
  const app = await chain.createApp(chain.account(APP_OWNER), { name: `app of ${database.name}`, image: "example/app:1" });
  await chain.deposit(owner.address, 1_000n * RLC);
  await chain.deposit(chain.account(REQUESTER).address, 1_000n * RLC);
  const schedulers = new Set<Scheduler>();
  const logger: Logger = process.env.SCHEDULER_TEST_LOG === undefined ? silentLogger : createLogger({ level: "debug", pretty: true });

  const options = (more: Partial<SchedulerOptions> = {}): SchedulerOptions => ({
    account: owner,
    workerpool,
    hubAddress: chain.hub,
    rpcUrls: [chain.rpcUrl],
    startBlock: 0n,
    database: { url: database.url },
    host: "127.0.0.1",
    port: 0,
    resultProxyUrl: lookup.url,
    sidechain: false,
    blockTimeMs: 1_000,
    whitelist: [],
    requiredWorkerVersion: "",
    askForReplicatePeriodMs: 500,
    v9WaitMs: 0,
    lostAfterMs: 60_000,
    redeliverMs: 10_000,
    chainWaitMs: 5_000,
    patience: { uploadStartMs: 60_000, uploadMs: 60_000, uploadRetryMs: 100, repeatMs: 30_000, unnotifiedMs: 300, closeMs: 500 },
    gas: { multiplier: 1.3, cap: 100_000_000_000n, gasless: false },
    confirmations: 1,
    reorgDepth: 8,
    maxLogRange: 1_000,
    ...more,
  });

  const view = async (scheduler: Scheduler, taskId: TaskId): Promise<View> => {
    const answer = await fetch(`${scheduler.url}/v1/tasks/${taskId}`);
    if (answer.status !== 200) throw new Error(`view: ${answer.status}`);
    return VIEW.parse(await answer.json());
  };

  return {
    chain,
    workerpool,
    database,
    postgres,
    stored,
    options,
    view,
    async scheduler(more, deps) {
      const started = await start(options(more), { logger, ...deps });
      schedulers.add(started);
      return started;
    },
    buy: (trust, more = {}) =>
      chain.buy({
        app: { address: app, owner: chain.account(APP_OWNER), price: 1n },
        workerpool: { address: workerpool, owner, price: 10n * RLC },
        requester: chain.account(REQUESTER),
        trust,
        ...more,
      }),
    async worker(index, scheduler) {
      const account = chain.account(index);
      await chain.deposit(account.address, 100n * RLC);
      const worker = new HandWorker(account, scheduler.url);
      await worker.join();
      return worker;
    },
    async until(scheduler, taskId, what, test) {
      const deadline = AbortSignal.timeout(WAIT_MS);
      const events = await fetch(`${scheduler.url}/v1/events`, { signal: deadline });
      const reader = events.body?.getReader();
      try {
        for (;;) {
          const seen = await view(scheduler, taskId).catch((thrown: unknown) => {
            if (thrown instanceof Error && thrown.message === "view: 404") return undefined;
            throw thrown;
          });
          if (seen !== undefined && test(seen)) return seen;
          // Woken by the scheduler's own events; looked at again now and then, for what makes no event.
          await Promise.race([reader?.read(), new Promise((resolve) => setTimeout(resolve, 200))]);
          if (deadline.aborted) throw new Error(`never: ${what}; ${JSON.stringify(seen)}`);
        }
      } finally {
        await reader?.cancel().catch(() => undefined);
      }
    },
    async close() {
      await Promise.all([...schedulers].map((scheduler) => scheduler.close()));
      await database.drop();
      await lookup.close();
    },
  };
}

/** Takes a task through contribution; returns the contribution's receipt as a worker reports it. */
export async function contribute(world: World, worker: HandWorker, digest = digestOf(42)): Promise<TaskId> {
  const authorization = await worker.work();
  const taskId = authorization.chainTaskId;
  await worker.compute(taskId);
  const receipt = await world.chain.contribute(worker.account, authorization, digest);
  await worker.report(taskId, "CONTRIBUTED", {
    details: { chainReceipt: { blockNumber: receipt.blockNumber, txHash: receipt.transactionHash } },
  });
  return taskId;
}

export async function reveal(world: World, worker: HandWorker, taskId: TaskId, digest = digestOf(42)): Promise<void> {
  await worker.report(taskId, "REVEALING");
  const receipt = await world.chain.reveal(worker.account, taskId, digest);
  await worker.report(taskId, "REVEALED", {
    details: { chainReceipt: { blockNumber: receipt.blockNumber, txHash: receipt.transactionHash } },
  });
}

export async function upload(world: World, worker: HandWorker, taskId: TaskId): Promise<void> {
  await worker.report(taskId, "RESULT_UPLOADING");
  world.stored.set(taskId, CID);
  await worker.report(taskId, "RESULT_UPLOADED", { details: { resultLink: LINK } });
}
