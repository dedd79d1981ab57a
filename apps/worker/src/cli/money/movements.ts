import { type Address, type Hex, HUB_ABI, lowerHex, type TaskId, ZERO_ADDRESS } from "@iexec-ts/poco";
import { type Log, parseEventLogs } from "viem";

export type MovementKind = "deposit" | "withdraw" | "lock" | "unlock" | "reward" | "seize" | "received" | "sent";

/** One change of our account in the escrow, as one event of the chain tells it. */
export interface Entry {
  readonly kind: MovementKind;
  /** nRLC, never negative. */
  readonly amount: bigint;
  readonly block: bigint;
  readonly logIndex: number;
  readonly transaction: Hex;
  /** Undefined for movements that belong to no task. */
  readonly taskId: TaskId | undefined;
}

/** A final event about our work on a task. */
export interface Verdict {
  readonly taskId: TaskId;
  readonly accurate: boolean;
  readonly block: bigint;
}

/** What each kind does to the free and to the locked part of the account. */
const EFFECT: Readonly<Record<MovementKind, readonly [free: 1n | 0n | -1n, locked: 1n | 0n | -1n]>> = {
  deposit: [1n, 0n],
  withdraw: [-1n, 0n],
  lock: [-1n, 1n],
  unlock: [1n, -1n],
  reward: [1n, 0n],
  seize: [0n, -1n],
  received: [1n, 0n],
  sent: [-1n, 0n],
};

export interface Standing {
  readonly free: bigint;
  readonly locked: bigint;
}

export const freeChange = ({ kind, amount }: Pick<Entry, "kind" | "amount">): bigint => EFFECT[kind][0] * amount;
export const lockedChange = ({ kind, amount }: Pick<Entry, "kind" | "amount">): bigint => EFFECT[kind][1] * amount;

/** The account after these movements. */
export const applyAll = (opening: Standing, entries: readonly Pick<Entry, "kind" | "amount">[]): Standing =>
  entries.reduce(({ free, locked }, entry) => ({ free: free + freeChange(entry), locked: locked + lockedChange(entry) }), opening);

const NAMES = [
  "Transfer",
  "Lock",
  "Unlock",
  "Reward",
  "Seize",
  "TaskContribute",
  "TaskFinalize",
  "TaskClaimed",
  "TaskReopen",
  "AccurateContribution",
  "FaultyContribution",
] as const;

const decode = (logs: readonly Log[]) => parseEventLogs({ abi: HUB_ABI, logs: [...logs], eventName: [...NAMES], strict: true });
type HubEvent = ReturnType<typeof decode>[number];

const taskOf = (event: HubEvent): TaskId | undefined => {
  if (event.eventName === "Reward" || event.eventName === "Seize") return lowerHex(event.args.ref);
  return "taskid" in event.args ? lowerHex(event.args.taskid) : undefined;
};

/**
 * The movements of `wallet` in all logs of the hub in one transaction, in order.
 *
 * Inside the escrow every lock, unlock and reward is an ERC-20 transfer to or from the hub followed by its own event; the pair is one
 * movement. Locks and unlocks name no task: the next event that does belongs to the same work.
 * @source chain.md 8, 12; IexecEscrow.lock, unlock, reward, seize
 */
export function movementsOf(
  logs: readonly Log[],
  hub: Address,
  wallet: Address,
): { entries: readonly Entry[]; verdicts: readonly Verdict[] } {
  const events = decode(logs).filter(({ address }) => lowerHex(address) === hub);
  const entries: Entry[] = [];
  const verdicts: Verdict[] = [];
  const isOurs = (address: Address) => lowerHex(address) === wallet;
  const add = (event: HubEvent, kind: MovementKind, amount: bigint, taskId: TaskId | undefined) => {
    if (amount === 0n) return;
    entries.push({
      kind,
      amount,
      block: event.blockNumber ?? 0n,
      logIndex: event.logIndex ?? 0,
      transaction: event.transactionHash ?? "0x",
      taskId,
    });
  };
  /** The transfer to or from the hub that a lock, unlock or reward of ours consists of. */
  const isHalfOf = (partner: HubEvent | undefined, { args: { from, to, value } }: Extract<HubEvent, { eventName: "Transfer" }>): boolean =>
    lowerHex(isOurs(from) ? to : from) === hub &&
    (partner?.eventName === "Lock" || partner?.eventName === "Unlock" || partner?.eventName === "Reward") &&
    isOurs(partner.args.owner) &&
    partner.args.amount === value;
  for (const [index, event] of events.entries()) {
    const nextTask = () =>
      events
        .slice(index + 1)
        .map(taskOf)
        .find((task) => task !== undefined);
    switch (event.eventName) {
      case "Lock":
        if (isOurs(event.args.owner)) add(event, "lock", event.args.amount, nextTask());
        break;
      case "Unlock":
        if (isOurs(event.args.owner)) add(event, "unlock", event.args.amount, nextTask());
        break;
      case "Reward":
        if (isOurs(event.args.owner)) add(event, "reward", event.args.amount, taskOf(event));
        break;
      case "Seize":
        if (isOurs(event.args.owner)) add(event, "seize", event.args.amount, taskOf(event));
        break;
      case "AccurateContribution":
      case "FaultyContribution":
        if (isOurs(event.args.worker))
          verdicts.push({
            taskId: lowerHex(event.args.taskid),
            accurate: event.eventName === "AccurateContribution",
            block: event.blockNumber ?? 0n,
          });
        break;
      case "Transfer": {
        const { from, to, value } = event.args;
        if (isOurs(from) === isOurs(to) || isHalfOf(events[index + 1], event)) break;
        const incoming = isOurs(to);
        const outside = lowerHex(incoming ? from : to) === ZERO_ADDRESS;
        add(event, incoming ? (outside ? "deposit" : "received") : outside ? "withdraw" : "sent", value, undefined);
        break;
      }
      default:
        break;
    }
  }
  return { entries, verdicts };
}
