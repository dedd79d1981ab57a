import type { ReplicateStatus, TaskId } from "@iexec-ts/poco";
import type { World } from "./world.ts";

/** Something that happens to replicates on a real network, for the statuses it brings about. */
export interface Tale {
  readonly name: string;
  /** In a few words, for the report. */
  readonly story: string;
  /** Statuses this tale is the place for. */
  readonly shows: readonly ReplicateStatus[];
  /** Returns the tasks it was about. */
  tell(world: World, signal: AbortSignal): Promise<readonly TaskId[]>;
}
