/** A quantity of RLC in its smallest unit (10^-9 RLC): the unit of every amount inside PoCo. */
export type NanoRlc = bigint & { readonly __unit: "nRLC" };
/** A quantity of the chain's native coin in wei. */
export type Wei = bigint & { readonly __unit: "wei" };
/** Seconds since the Unix epoch, by block timestamp; never the host's clock. */
export type ChainTime = bigint & { readonly __unit: "chain-seconds" };

export const nanoRlc = (n: bigint): NanoRlc => n as NanoRlc;
export const wei = (n: bigint): Wei => n as Wei;
export const chainTime = (n: bigint): ChainTime => n as ChainTime;
