import { type ChainTask, type ChainTime, isOpen, sameHex, type TaskStatus } from "@iexec-ts/poco";
import type { ReplicateRecord } from "../model.ts";
import { isSettled, knowsContribution } from "../replicates/classes.ts";
import { fillFromChain, markLost } from "./bookkeeping.ts";
import { type Draft, plusMs, type Situation } from "./decision.ts";

const LONGEST_RETRY_MS = 60_000;

const isWinner = ({ chain }: Situation, task: ChainTask, { wallet }: ReplicateRecord): boolean => {
  const contribution = chain.contributions.get(wallet);
  return contribution !== undefined && contribution.status !== "REJECTED" && sameHex(contribution.resultHash, task.consensusValue);
};

/** Whether a winner waits for the order to reveal. A v9 worker acts on it only once it has said CONTRIBUTED. */
function waitsForReveal({ chain, now, patience }: Situation, replicate: ReplicateRecord, draft: Draft): boolean {
  const { relevant, status, alive, told, toldAt, wallet } = replicate;
  if (relevant !== "CONTRIBUTED" || isSettled(status) || !alive || chain.contributions.get(wallet)?.status !== "CONTRIBUTED") return false;
  if (told !== "REVEAL" || toldAt === undefined) return true;
  const due = plusMs(toldAt, patience.repeatMs);
  draft.wakeAtWall(due);
  return due <= now.wall;
}

/** Winners are told to reveal, and told again while they do not begin; the others are told to stop. */
function tellOutcome(situation: Situation, onChain: ChainTask, draft: Draft): void {
  const { replicates, now } = situation;
  const winners = replicates.filter((replicate) => isWinner(situation, onChain, replicate));
  const abort = replicates.filter(
    (replicate) => !winners.includes(replicate) && replicate.told !== "ABORT" && !isSettled(replicate.status),
  );
  if (isOpen(onChain.revealDeadline, now.chain)) {
    const reveal = winners.filter((replicate) => waitsForReveal(situation, replicate, draft));
    if (reveal.length > 0)
      draft.add({ kind: "order", order: "REVEAL", wallets: reveal.map(({ wallet }) => wallet), abortCause: undefined });
  }
  if (abort.length > 0) {
    draft.add({ kind: "order", order: "ABORT", wallets: abort.map(({ wallet }) => wallet), abortCause: "CONSENSUS_REACHED" });
  }
}

/** @source guide: REVEAL_TIMEOUT, more than 2 periods after the consensus */
function markRevealTimeouts(situation: Situation, onChain: ChainTask, draft: Draft): void {
  for (const replicate of situation.replicates) {
    const { wallet, status, relevant } = replicate;
    // What its worker never told comes first: the next look marks it.
    if (!knowsContribution(relevant)) continue;
    const unrevealed = situation.chain.contributions.get(wallet)?.status === "CONTRIBUTED";
    if (unrevealed && isWinner(situation, onChain, replicate) && !isSettled(status) && status !== "COMPLETED") {
      draft.add({ kind: "replicate-status", wallet, status: "REVEAL_TIMEOUT", cause: undefined });
    }
  }
}

const isUploading = ({ relevant, status, alive }: ReplicateRecord): boolean =>
  alive && status !== "WORKER_LOST" && (relevant === "RESULT_UPLOAD_REQUESTED" || relevant === "RESULT_UPLOADING");

/** Ends uploads that take too long. Returns whether one is still under way. */
function watchUploads({ replicates, now, patience }: Situation, draft: Draft): boolean {
  let underWay = false;
  for (const replicate of replicates.filter(isUploading)) {
    const requested = replicate.relevant === "RESULT_UPLOAD_REQUESTED";
    const due = plusMs(replicate.changedAt, requested ? patience.uploadStartMs : patience.uploadMs);
    if (due > now.wall) {
      underWay = true;
      draft.wakeAtWall(due);
    } else {
      const status = requested ? "RESULT_UPLOAD_REQUEST_FAILED" : "RESULT_UPLOAD_FAILED";
      draft.add({ kind: "replicate-status", wallet: replicate.wallet, status, cause: "TIMEOUT" });
    }
  }
  return underWay;
}

const canUpload = (relevant: ReplicateRecord["relevant"]): boolean =>
  relevant === "REVEALED" || relevant === "RESULT_UPLOAD_FAILED" || relevant === "RESULT_UPLOAD_REQUEST_FAILED";

/** Asks one of those who tried least; one that failed is asked again after a growing pause. */
function requestUpload({ replicates, chain, now, patience }: Situation, draft: Draft): void {
  const able = replicates.filter(
    ({ wallet, alive, relevant }) => alive && canUpload(relevant) && chain.contributions.get(wallet)?.status === "PROVED",
  );
  const ready = able.filter(({ uploadTries, changedAt }) => {
    if (uploadTries === 0) return true;
    const due = plusMs(changedAt, Math.min(LONGEST_RETRY_MS, patience.uploadRetryMs * 2 ** Math.min(uploadTries - 1, 20)));
    if (due > now.wall) draft.wakeAtWall(due);
    return due <= now.wall;
  });
  const fewest = Math.min(...ready.map(({ uploadTries }) => uploadTries));
  const among = ready.filter(({ uploadTries }) => uploadTries === fewest).map(({ wallet }) => wallet);
  if (among.length > 0) draft.add({ kind: "request-upload", among });
}

interface Progress {
  readonly status: TaskStatus;
  readonly cause: string | undefined;
}

function advance(situation: Situation, onChain: ChainTask, revealEnd: ChainTime, draft: Draft): Progress {
  const { task, now } = situation;
  const revealClosed = !isOpen(revealEnd, now.chain);
  if (onChain.revealCounter === 0n) {
    if (!revealClosed) return { status: "CONSENSUS_REACHED", cause: undefined };
    if (!isOpen(task.contributionDeadline, now.chain)) return { status: "CONSENSUS_REACHED", cause: "REVEAL_TIMEOUT" };
    draft.add({ kind: "call", call: "reopen" });
    return { status: "REOPENING", cause: "REVEAL_TIMEOUT" };
  }
  if (task.resultLink === undefined) {
    if (watchUploads(situation, draft)) return { status: "RESULT_UPLOADING", cause: undefined };
    requestUpload(situation, draft);
    return { status: "AT_LEAST_ONE_REVEALED", cause: undefined };
  }
  if (onChain.revealCounter < onChain.winnerCounter && !revealClosed) return { status: "RESULT_UPLOADED", cause: undefined };
  draft.add({ kind: "call", call: "finalize" });
  return { status: "FINALIZING", cause: undefined };
}

/**
 * A task that is REVEALING on chain and whose final deadline has not passed: reveals, upload, then finalize; or reopen when nobody revealed
 * and somebody could still contribute.
 *
 * @source IexecPoco2: finalize and reopen conditions; chain.md 11
 */
export function decideRevealing(situation: Situation, onChain: ChainTask, draft: Draft): void {
  const { task, now } = situation;
  draft.wakeAtChain(onChain.revealDeadline);
  draft.wakeAtChain(task.finalDeadline);
  if (task.open) draft.add({ kind: "demand", open: false });

  const revealClosed = !isOpen(onChain.revealDeadline, now.chain);
  fillFromChain(situation, draft, revealClosed);
  tellOutcome(situation, onChain, draft);
  if (revealClosed) markRevealTimeouts(situation, onChain, draft);
  markLost(situation, draft);

  const { status, cause } = advance(situation, onChain, onChain.revealDeadline, draft);
  if (task.status !== status) draft.add({ kind: "task-status", status, cause });
}
