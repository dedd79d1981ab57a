import type { Hub, TxQueue } from "@iexec-ts/chain";
import type { Address } from "@iexec-ts/poco";
import { type Clock, CodedError, type Logger } from "@iexec-ts/service";
import type { ReplicateEngine } from "../replicate/engine.ts";
import type { Journal } from "../replicate/journal.ts";
import type { Standing } from "../standing.ts";
import type { LiveSettings } from "./live-settings.ts";
import type { Operation, Refusal } from "./operation.ts";

/** How a worker is told to end: in an orderly way, or with no more time. */
export type StopHow = "orderly" | "now";

/** What the actions of an operator reach inside a running worker. */
export interface Desk {
  readonly worker: Address;
  readonly journal: Journal;
  readonly operation: Operation;
  readonly live: LiveSettings;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stop: (how: StopHow) => void;
  /** Why no task was asked for at the last look. */
  readonly refusal: () => Refusal | undefined;
  /** What does not move. */
  readonly standing: () => Standing;
  /** Whether its scheduler knows it since this start. */
  joined: boolean;
  /** Undefined until the chain is open. */
  work:
    | {
        readonly engine: Pick<ReplicateEngine, "notify" | "onClosed">;
        readonly ports: { readonly queue: TxQueue; readonly hub: Hub; readonly worker: Address };
      }
    | undefined;
}

/** Errors: WRK-1517 while the worker is still starting. */
export function working({ work }: Desk): NonNullable<Desk["work"]> {
  if (work === undefined) throw new CodedError("WRK-1517", { what: "node" });
  return work;
}
