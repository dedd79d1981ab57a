import { ZERO_BYTES32 } from "./hex.ts";
import type { Bytes32 } from "./structs.ts";

export type TeeFramework = "scone" | "gramine" | "tdx";

/** Positions of the bits of a tag, from the least significant. @source chain.md 6.2 */
export const TAG_BITS = { tee: 0, scone: 1, gramine: 2, tdx: 3, gpu: 8 } as const;
export type TagName = keyof typeof TAG_BITS;

const FRAMEWORK_MASK = 0b1110n;
const FRAMEWORKS: Readonly<Record<string, TeeFramework>> = { "3": "scone", "5": "gramine", "9": "tdx" };

const bit = (name: TagName): bigint => 1n << BigInt(TAG_BITS[name]);
const toTag = (value: bigint): Bytes32 => `0x${value.toString(16).padStart(64, "0")}`;

/** The tag with these bits set; unknown names cannot be given. */
export function tagOf(names: readonly TagName[]): Bytes32 {
  return toTag(names.reduce((value, name) => value | bit(name), 0n));
}

/** Names of the known bits of a tag, lowest first. */
export function tagNames(tag: Bytes32): readonly TagName[] {
  const names: readonly TagName[] = ["tee", "scone", "gramine", "tdx", "gpu"];
  return names.filter((name) => tagHas(tag, name));
}

export function tagHas(tag: Bytes32, name: TagName): boolean {
  return (BigInt(tag) & bit(name)) !== 0n;
}

/** Whether the contracts demand an enclave: bit 0. @source IexecPoco2.contribute */
export function needsTee(tag: Bytes32): boolean {
  return tagHas(tag, "tee");
}

/** Whether the task wants a GPU. */
export function needsGpu(tag: Bytes32): boolean {
  return tagHas(tag, "gpu");
}

/**
 * The TEE framework a tag asks for, or undefined: standard, or a mix no framework runs. `needsTee(tag)` without a framework is a task
 * nobody can run.
 *
 * @source wire.md 6.7: last four bits 0011 scone, 0101 gramine, 1001 tdx
 */
export function teeFrameworkOf(tag: Bytes32): TeeFramework | undefined {
  return FRAMEWORKS[(BigInt(tag) & 0xfn).toString(16)];
}

/** Whether `tag` has every bit of `wanted`. */
export function tagCovers(tag: Bytes32, wanted: Bytes32): boolean {
  return (BigInt(wanted) & ~BigInt(tag)) === 0n;
}

/**
 * Tag of the deal that these orders make.
 *
 * @param contracts - 6.1.0 keeps the dataset's framework bits, 6.2.0 drops them
 * @source IexecPoco1.matchOrders; chain.md 6.1, 21
 */
export function dealTag(app: Bytes32, dataset: Bytes32, request: Bytes32, contracts: "6.1.0" | "6.2.0" = "6.2.0"): Bytes32 {
  const ofDataset = contracts === "6.1.0" ? BigInt(dataset) : BigInt(dataset) & ~FRAMEWORK_MASK;
  return toTag(BigInt(app) | ofDataset | BigInt(request));
}

export const STANDARD_TAG: Bytes32 = ZERO_BYTES32;
