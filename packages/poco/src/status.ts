import { EXTRA_TRANSITIONS } from "./status-extras.ts";
import { STATUS_TABLE, type StatusSetter } from "./status-table.ts";

export type { StatusSetter } from "./status-table.ts";

/** One of the 36 replicate statuses of the worker guide. */
export type ReplicateStatus = keyof typeof STATUS_TABLE;

/** `3.0.1`: the machine the guide describes; `ours`: added by us, for the reason given. */
export type TransitionOrigin = "3.0.1" | "ours";

export interface StatusTransition {
  readonly from: ReplicateStatus;
  readonly to: ReplicateStatus;
  readonly origin: TransitionOrigin;
  /** Why we allow it; only where `origin` is `ours`. */
  readonly reason: string | undefined;
}

export interface StatusRow {
  readonly status: ReplicateStatus;
  readonly setBy: StatusSetter;
  readonly next: readonly ReplicateStatus[];
  /** A final status has no next one. COMPLETED and FAILED only, as in v9: every other end is closed by FAILED. */
  readonly final: boolean;
  /** The guide's own words. */
  readonly meaning: string;
  /** What the operator should do. */
  readonly advice: string;
}

export function isReplicateStatus(value: unknown): value is ReplicateStatus {
  return typeof value === "string" && Object.hasOwn(STATUS_TABLE, value);
}

/** The statuses in the guide's order. */
export const REPLICATE_STATUSES: readonly ReplicateStatus[] = Object.keys(STATUS_TABLE).filter(isReplicateStatus);

/**
 * Every legal transition, those of 3.0.1 first.
 *
 * @source wire.md 4.1; ours: EXTRA_TRANSITIONS
 */
export const STATUS_TRANSITIONS: readonly StatusTransition[] = [
  ...REPLICATE_STATUSES.flatMap((from) =>
    STATUS_TABLE[from].next.map((to): StatusTransition => ({ from, to, origin: "3.0.1", reason: undefined })),
  ),
  ...EXTRA_TRANSITIONS.flatMap(({ from, to, reason }) =>
    from.flatMap((source) => to.map((target): StatusTransition => ({ from: source, to: target, origin: "ours", reason }))),
  ),
];

const byEnds = new Map(STATUS_TRANSITIONS.map((transition) => [`${transition.from}>${transition.to}`, transition]));

const rows = new Map(
  REPLICATE_STATUSES.map((status): [ReplicateStatus, StatusRow] => {
    const { setBy, meaning, advice } = STATUS_TABLE[status];
    const next = REPLICATE_STATUSES.filter((to) => byEnds.has(`${status}>${to}`));
    return [status, { status, setBy, next, final: next.length === 0, meaning, advice }];
  }),
);

/** The row of one status: who sets it, what may follow, what it means, what the operator should do. */
export function statusRow(status: ReplicateStatus): StatusRow {
  const row = rows.get(status);
  if (row === undefined) throw new RangeError(`not a replicate status: ${status}`);
  return row;
}

/** The transition between two statuses with its origin, or undefined when it is not legal. */
export function statusTransition(from: ReplicateStatus, to: ReplicateStatus): StatusTransition | undefined {
  return byEnds.get(`${from}>${to}`);
}

export function canFollow(from: ReplicateStatus, to: ReplicateStatus): boolean {
  return byEnds.has(`${from}>${to}`);
}

export function isFinal(status: ReplicateStatus): boolean {
  return statusRow(status).final;
}
