import type { Address, TaskId } from "@iexec-ts/poco";
import type { Random } from "@iexec-ts/service";
import { z } from "zod";
import type { Sighting, TaskRecord } from "../model.ts";
import type { Sql } from "../store/database.ts";
import { pushText } from "../store/push.ts";
import { insertReplicate, noteUploadEnd, noteUploadRequest, recordStatus, setTold } from "../store/replicates.ts";
import { signal } from "../store/signals.ts";
import { closeTask, recordTaskStatus, setDemand, setResult } from "../store/tasks.ts";
import type { ChainCall, Effect, Moment } from "./decision.ts";

/** Work that a transaction cannot hold. */
export type AfterCommit = { readonly kind: "enclave-challenge"; readonly taskId: TaskId };

interface Context {
  readonly now: Moment;
  readonly block: bigint;
  readonly random: Random;
  readonly sightings: ReadonlyMap<Address, Sighting>;
  readonly after: AfterCommit[];
}

const ACTIONS = { REVEAL: "PLEASE_REVEAL", ABORT: "PLEASE_ABORT", UPLOAD: "PLEASE_UPLOAD", COMPLETE: "PLEASE_COMPLETE" } as const;
/** Wallets in one signal: Postgres bounds its size. */
const WALLETS_PER_PUSH = 100;

async function push(sql: Sql, task: TaskRecord, effect: Extract<Effect, { kind: "order" }>, block: bigint): Promise<void> {
  const { order, wallets, abortCause } = effect;
  const blockNumber = order === "REVEAL" ? (task.consensusBlock ?? block) : undefined;
  for (let start = 0; start === 0 || start < wallets.length; start += WALLETS_PER_PUSH) {
    const workers = wallets.slice(start, start + WALLETS_PER_PUSH);
    await signal(sql, "push", pushText({ taskId: task.id, action: ACTIONS[order], workers, blockNumber, abortCause }));
  }
  if (wallets.length > 0) await setTold(sql, task.id, wallets, order);
}

const HISTORY = z.object({ n: z.coerce.number(), fails: z.coerce.number(), fresh: z.boolean(), wanted: z.boolean() });
const RETRY_MS = { base: 1_000, longest: 60_000 };

/** Writes the wish for a transaction, unless one is under way or was just mined; a failed one is tried again after a growing pause. */
async function wish(sql: Sql, task: TaskRecord, call: ChainCall, random: Random): Promise<void> {
  const past = await sql.row(
    `SELECT count(*) AS n, count(*) FILTER (WHERE outcome <> 'mined' AND state = 'settled') AS fails,
       coalesce(bool_or(outcome = 'mined' AND settled_at > now() - interval '60 seconds'), false) AS fresh,
       coalesce(bool_or(state = 'wanted'), false) AS wanted
     FROM effects WHERE task_id = $1 AND kind = $2`,
    [task.id, call],
    HISTORY,
  );
  // One that was just mined and is not seen any more was undone by a reorganisation: the queue sends it again by itself.
  if (past === undefined || past.wanted || (past.fresh && call !== "reopen")) return;
  const n = past.n + 1;
  const id = n === 1 && call !== "reopen" ? `${call}:${task.id}` : `${call}:${task.id}:${n}`;
  const ceiling = past.fails === 0 ? 0 : Math.min(RETRY_MS.longest, RETRY_MS.base * 2 ** Math.min(past.fails - 1, 10));
  const delayMs = Math.round(ceiling / 2 + (random.float() * ceiling) / 2);
  const details = call === "finalize" ? { link: task.resultLink ?? "", callback: task.callbackData ?? "0x" } : {};
  await sql.run(
    `INSERT INTO effects (id, task_id, kind, n, call, state, not_before)
     VALUES ($1, $2, $3, $4, $5, 'wanted', now() + make_interval(secs => $6)) ON CONFLICT DO NOTHING`,
    [id, task.id, call, n, JSON.stringify(details), delayMs / 1_000],
  );
  await signal(sql, "effect", id);
}

async function requestUpload(sql: Sql, task: TaskRecord, among: readonly Address[], { now, random, block }: Context): Promise<void> {
  const wallet = among[Math.floor(random.float() * among.length)];
  if (wallet === undefined) return;
  await recordStatus(sql, {
    taskId: task.id,
    wallet,
    status: "RESULT_UPLOAD_REQUESTED",
    setBy: "scheduler",
    at: now.wall,
    chain: now.chain,
  });
  await noteUploadRequest(sql, task.id, wallet);
  await push(sql, task, { kind: "order", order: "UPLOAD", wallets: [wallet], abortCause: undefined }, block);
}

async function adopt(sql: Sql, task: TaskRecord, wallet: Address, { now, sightings }: Context): Promise<void> {
  const weight = sightings.get(wallet)?.weight ?? 2n;
  const entry = { taskId: task.id, wallet, setBy: "scheduler", cause: "SEEN_ON_CHAIN", at: now.wall, chain: now.chain } as const;
  await insertReplicate(sql, { taskId: task.id, wallet, weight, stake: task.workerStake, chain: now.chain, slot: false });
  await recordStatus(sql, { ...entry, status: "CREATED" });
  await recordStatus(sql, { ...entry, status: "CONTRIBUTED" });
}

async function apply(sql: Sql, task: TaskRecord, effect: Effect, context: Context): Promise<boolean> {
  const { now } = context;
  switch (effect.kind) {
    case "task-status":
      await recordTaskStatus(sql, task.id, effect.status, effect.cause);
      return true;
    case "demand":
      await setDemand(sql, task.id, effect.open);
      return true;
    case "replicate-status":
      await recordStatus(sql, { ...effect, taskId: task.id, setBy: "scheduler", at: now.wall, chain: now.chain });
      await noteUploadEnd(sql, task.id, effect.wallet, effect.status);
      return true;
    case "adopt":
      await adopt(sql, task, effect.wallet, context);
      return true;
    case "order":
      await push(sql, task, effect, context.block);
      return effect.wallets.length > 0;
    case "request-upload":
      await requestUpload(sql, task, effect.among, context);
      return true;
    case "forget-result":
      await setResult(sql, task.id, undefined, undefined);
      return true;
    case "enclave-challenge":
      if (!context.after.some(({ taskId }) => taskId === task.id)) context.after.push({ kind: "enclave-challenge", taskId: task.id });
      return false;
    case "call":
      await wish(sql, task, effect.call, context.random);
      return false;
    case "close":
      await closeTask(sql, task.id);
      return true;
  }
}

/** Does the effects in order inside the caller's transaction. Returns whether the task looks different now. */
export async function applyEffects(sql: Sql, task: TaskRecord, effects: readonly Effect[], context: Context): Promise<boolean> {
  let changed = false;
  for (const effect of effects) changed = (await apply(sql, task, effect, context)) || changed;
  return changed;
}
