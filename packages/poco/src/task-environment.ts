import { sha256, toBytes } from "viem";
import { lowerHex } from "./hex.ts";
import type { Address, DealId, Hex, TaskId } from "./structs.ts";

/** Folders as the app sees them. */
export const CONTAINER_INPUT = "/iexec_in";
export const CONTAINER_OUTPUT = "/iexec_out";

/** `union`: the names of v9 and of v3, so that old apps run too; `v9`: exactly what a Java 9 worker sets. */
export type EnvironmentMode = "union" | "v9";

export interface TaskEnvironmentInput {
  readonly taskId: TaskId;
  readonly dealId: DealId;
  /** Index of the task, `botFirst <= index < botFirst + botSize`. */
  readonly taskIndex: bigint;
  readonly botFirst: bigint;
  readonly botSize: bigint;
  /** The zero address: no dataset. */
  readonly dataset: Address;
  /** URLs, as in the deal's parameters. */
  readonly inputFiles: readonly string[];
}

/**
 * Name of an input file inside the input folder. The same URL is the same file.
 *
 * @source compute.md 1.3, V7: `0x` and the SHA-256 of the URL
 */
export function inputFileName(url: string): Hex {
  return sha256(toBytes(url));
}

/** Name of the dataset's file inside the input folder. @source compute.md 3.2 */
export function datasetFileName(dataset: Address): string {
  return lowerHex(dataset);
}

/**
 * Environment of a standard app's container. Where v3 and v9 give one name two values (names of files), it is v9's: the files are laid
 * out that way.
 *
 * @source compute.md 1.3
 */
export function taskEnvironment(task: TaskEnvironmentInput, mode: EnvironmentMode = "union"): Readonly<Record<string, string>> {
  const dataset = lowerHex(task.dataset);
  const count = String(task.inputFiles.length);
  const files = task.inputFiles.map((url, at) => [`IEXEC_INPUT_FILE_NAME_${at + 1}`, inputFileName(url)] as const);
  return {
    IEXEC_DEAL_ID: task.dealId,
    IEXEC_TASK_INDEX: String(task.taskIndex),
    IEXEC_TASK_ID: task.taskId,
    IEXEC_IN: CONTAINER_INPUT,
    IEXEC_OUT: CONTAINER_OUTPUT,
    IEXEC_DATASET_ADDRESS: dataset,
    IEXEC_DATASET_FILENAME: datasetFileName(dataset),
    IEXEC_BOT_SIZE: String(task.botSize),
    IEXEC_BOT_FIRST_INDEX: String(task.botFirst),
    IEXEC_BOT_TASK_INDEX: String(task.taskIndex),
    IEXEC_INPUT_FILES_NUMBER: count,
    ...(mode === "union" || task.inputFiles.length > 0 ? { IEXEC_INPUT_FILES_FOLDER: CONTAINER_INPUT } : {}),
    ...(mode === "union" ? { IEXEC_NB_INPUT_FILES: count } : {}),
    ...Object.fromEntries(files),
  };
}
