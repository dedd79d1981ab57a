import type { Readable } from "node:stream";
import type { Address, Bytes32, Hex } from "@iexec-ts/poco";

export interface FetchLimits {
  readonly maxBytes: number;
  readonly connectMs: number;
  readonly idleMs: number;
  readonly totalMs: number;
  readonly maxRedirects: number;
  readonly tries: number;
}

export interface FetchPolicy {
  readonly limits: FetchLimits;
  /** Hosts or CIDRs that may be reached although they are private; empty in production, the local network's own address in tests. */
  readonly allowPrivate: readonly string[];
  /** IPFS gateways, tried in order, without a trailing slash. */
  readonly gateways: readonly string[];
  /**
   * Called with each try and each time bytes came; for whoever watches over the caller. At most `connectMs`, `idleMs` or the longest wait
   * between two tries (10 seconds) apart, whichever is longest.
   */
  readonly onAlive?: () => void;
}

/** Downloads one URL into a file, streaming. Errors: PAY-11xx. */
export type FetchToFile = (
  url: string,
  target: string,
  policy: FetchPolicy,
  signal: AbortSignal,
) => Promise<{ readonly bytes: number; readonly sha256: Bytes32 }>;

export interface OutputLimits {
  readonly entries: number;
  readonly depth: number;
  readonly pathBytes: number;
  readonly fileBytes: number;
  readonly totalBytes: number;
  readonly computedJsonBytes: number;
  readonly callbackBytes: number;
}

/** What the worker adds to the app's output before digest and zip (never written through the app's own tree). */
export interface OutputExtras {
  readonly stdout: string | undefined;
  readonly stderr: string | undefined;
}

export interface SealedOutput {
  readonly digest: Bytes32;
  /** Set only for deals with a callback. */
  readonly callbackData: Hex | undefined;
  readonly zip: { readonly path: string; readonly bytes: number; readonly sha256: Bytes32 };
  readonly files: number;
}

/** Reads the output tree without trusting it, computes the digest, writes the zip atomically. Errors: PAY-12xx. */
export type SealOutput = (
  task: {
    readonly outDir: string;
    readonly zipPath: string;
    readonly callback: Address;
    readonly limits: OutputLimits;
    readonly extras: OutputExtras;
    /** Called with each part that was written to the zip; for whoever watches over the caller. */
    readonly onAlive?: (() => void) | undefined;
  },
  signal: AbortSignal,
) => Promise<SealedOutput>;

export interface IpfsStore {
  /** Adds one file; returns its CID (v0, Kubo defaults). */
  add(source: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<{ readonly cid: string; readonly bytes: number }>;
  /** undefined when a block is missing. */
  stat(cid: string): Promise<{ readonly bytes: number } | undefined>;
  /** Content of a file; `end` is inclusive. Errors come through the stream: PAY-1302 (missing block), PAY-1305. */
  get(cid: string, range?: { readonly start: number; readonly end?: number }): Readable;
  /** One block as it is hashed; undefined when it is not here. */
  block(cid: string): Promise<Uint8Array | undefined>;
  close(): Promise<void>;
}
