import type { TxRecord } from "@iexec-ts/chain";
import type { TaskId } from "@iexec-ts/poco";
import { type HttpFaultProxy, type RpcFaultProxy, startHttpFaultProxy, startRpcFaultProxy } from "@iexec-ts/testkit";
import type { Rig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import { assertSound, before } from "./oracles.ts";
import { readOutbox } from "./outbox-view.ts";
import { Weather } from "./weather.ts";

/** What a scenario of this set works with. */
export interface Stage {
  readonly rig: Rig;
  readonly weather: Weather;
  readonly worker: WorkerProcess;
  readonly taskId: TaskId;
  /** The worker's first node. */
  readonly node: RpcFaultProxy;
  /** The worker's second node; used only by scenarios that ask for it. */
  readonly second: RpcFaultProxy;
  /** Between the worker and its scheduler. */
  readonly scheduler: HttpFaultProxy;
  readonly signal: AbortSignal;
  /** Waits until the task can be worked on, then stops mining: the next blocks are those the scenario makes. */
  untilActive(): Promise<void>;
  /** Waits until the worker has a transaction of this kind in the node's pool. */
  untilPooled(kind: TxKind): Promise<string>;
  untilRecord(kind: TxKind, what: string, holds: (record: TxRecord) => boolean): Promise<TxRecord>;
  until<T>(what: string, look: () => Promise<T | undefined> | T | undefined): Promise<T>;
}

export type TxKind = "contribute" | "reveal";

export interface Plot {
  /** Nodes the worker is told of; its fault proxy unless told. */
  readonly nodes?: (urls: { readonly node: string; readonly second: string }) => readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Before the worker starts. */
  readonly prepare?: (stage: Pick<Stage, "node" | "second" | "scheduler" | "worker" | "rig" | "weather">) => Promise<void> | void;
  /** What goes wrong; the chain mines again afterwards, and the task must come to its end. Returns what was seen. */
  readonly act: (stage: Stage) => Promise<string>;
  /** How many transactions the scenario sends from the worker's wallet. */
  readonly foreign?: number;
}

/** One worker, one task, something goes wrong: in the end everybody has what was promised. SIDE EFFECTS: undone at the end. */
export async function play(rig: Rig, plot: Plot, signal: AbortSignal): Promise<string> {
  const weather = new Weather(rig.chain);
  const [node, second, scheduler] = await Promise.all([
    startRpcFaultProxy(rig.chain.rpcUrl),
    startRpcFaultProxy(rig.chain.rpcUrl),
    startHttpFaultProxy(rig.network.schedulerUrl),
  ]);
  const nodes = plot.nodes?.({ node: node.url, second: second.url }) ?? [node.url];
  const worker = rig.worker({ IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS: nodes.join(","), IEXEC_CORE_URL: scheduler.url, ...plot.env });
  try {
    const since = await before(rig, worker.address);
    await plot.prepare?.({ rig, weather, node, second, scheduler, worker });
    worker.start();
    const taskId = await rig.buyOne("TEXT=weather SLEEP=1");
    const stage = stageOf({ rig, weather, worker, taskId, node, second, scheduler, signal });
    const seen = await plot.act(stage);
    await weather.calm();
    await rig.untilStatus(taskId, "COMPLETED", signal, worker.address);
    await assertSound(rig, worker, taskId, since, plot.foreign ?? 0, signal);
    return seen;
  } finally {
    await weather.calm();
    await worker.stop();
    await Promise.all([node.stop(), second.stop(), scheduler.stop()]);
  }
}

function stageOf(parts: Omit<Stage, "untilActive" | "untilPooled" | "untilRecord" | "until">): Stage {
  const { rig, weather, worker, taskId, signal } = parts;
  const until: Stage["until"] = (what, look) => rig.until(what, look, signal);
  const untilRecord: Stage["untilRecord"] = (kind, what, holds) =>
    until(`${kind} ${what}`, async () => {
      const record = (await readOutbox(worker)).find(({ intent }) => intent.id === `${kind}:${taskId}`);
      return record !== undefined && holds(record) ? record : undefined;
    });
  return {
    ...parts,
    until,
    untilRecord,
    async untilActive() {
      await rig.untilChain(taskId, "ACTIVE", signal);
      await weather.pause();
    },
    async untilPooled(kind) {
      return until(`${kind} in the pool of the node`, async () => {
        const [records, hashes] = await Promise.all([readOutbox(worker), weather.pooled(worker.address)]);
        const record = records.find(({ intent }) => intent.id === `${kind}:${taskId}`);
        return record?.attempts.find(({ hash }) => hashes.includes(hash))?.hash;
      });
    },
  };
}
