/** Names of the labels every object of ours carries in the engine; the reaper looks for nothing else. */
export const LABELS = { worker: "iexec.worker", task: "iexec.task", stage: "iexec.stage", deadline: "iexec.deadline" } as const;

export interface Limits {
  readonly memoryBytes: number;
  /** CPUs, may be fractional. */
  readonly cpus: number;
  readonly pids: number;
  /** Bytes of /tmp inside the container. */
  readonly tmpBytes: number;
  /** Bytes the app may write to its output mount; checked by a watcher where no quota exists. */
  readonly outputBytes: number;
  /** Bytes kept of each of stdout and stderr. */
  readonly logBytes: number;
}

/** `none`: no network. `isolated`: own bridge per run, private ranges blocked where that can be proved. */
export type NetworkPolicy = "none" | "isolated";

export interface RunSpec {
  /** Exact container name; a leftover of the same name with our labels is adopted, not replaced. */
  readonly name: string;
  readonly image: string;
  /** Undefined: the image's own CMD. */
  readonly args: readonly string[] | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly mounts: readonly { readonly host: string; readonly container: string; readonly readOnly: boolean }[];
  readonly limits: Limits;
  readonly network: NetworkPolicy;
  /** Wall-clock instant after which the container is killed; survives restarts of the worker through a label. */
  readonly deadline: Date;
}

export interface CapturedLog {
  /** The last `logBytes` of the stream, from a whole character on. */
  readonly text: string;
  /** Bytes the app wrote, as far as the engine kept them; larger than the text when it was cut. */
  readonly bytes: number;
  /** The beginning is missing. */
  readonly truncated: boolean;
}

export interface RunResult {
  readonly exitCode: number;
  /** A process of the container was killed for memory; may be true with exit code 0. */
  readonly oomKilled: boolean;
  readonly timedOut: boolean;
  /** The output is larger than its cap; the container was killed for it unless it had ended before that was seen. */
  readonly outputExceeded: boolean;
  readonly startedAt: Date;
  readonly finishedAt: Date;
  readonly stdout: CapturedLog;
  readonly stderr: CapturedLog;
}

/**
 * Longest time between two calls of an `onAlive`, in milliseconds, while what was asked for is neither done nor failed; for the bound of
 * whoever watches over the caller.
 */
export const ALIVE_WITHIN_MS = 300_000;

export interface Running {
  readonly id: string;
  /** True when an existing container was adopted instead of started. */
  readonly adopted: boolean;
  /**
   * Resolves when the container has exited or was killed at its deadline. The container is kept until `remove`.
   *
   * @param onAlive - called each time the engine confirmed that the container is there, each time an engine that is away was asked in vain
   *   and will be asked again, and while the end is collected: the wait goes on for a reason. At most `ALIVE_WITHIN_MS` apart.
   */
  wait(signal?: AbortSignal, onAlive?: () => void): Promise<RunResult>;
  kill(): Promise<void>;
  /** Idempotent. */
  remove(): Promise<void>;
}

export interface PullOptions {
  /** Milliseconds the whole pull may take. */
  readonly timeoutMs: number;
  /** Called each time the engine told of progress, at most `ALIVE_WITHIN_MS` apart. */
  readonly onAlive?: () => void;
}

export interface RegistryCredentials {
  readonly registry: string;
  readonly username: string;
  readonly password: string;
}

export interface PulledImage {
  readonly id: string;
  /** repo@sha256:… as the engine knows it; empty for images never pulled or pushed. */
  readonly digests: readonly string[];
  readonly bytes: number;
  /** The pull failed but an image of this reference was already here. */
  readonly stale: boolean;
}

export interface EngineReport {
  readonly version: string;
  readonly apiVersion: string;
  readonly runtimes: readonly string[];
  /** Runs apps without a network. */
  readonly runtime: string;
  /** Runs apps with a network; undefined: none can, and such runs are refused (SBX-1403). */
  readonly networkRuntime: string | undefined;
  readonly cgroupVersion: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly rootless: boolean;
  /** What this engine does less well than a newer or another one would, in words, with what helps. */
  readonly weaknesses: readonly string[];
  /** Limits this engine would silently ignore, in words. */
  readonly ignoredLimits: readonly string[];
}

/** Runs untrusted OCI images. Errors: SBX-…, see the catalogue. */
export interface Sandbox {
  /** Throws SBX-1001 when the engine cannot be reached. */
  inspectEngine(signal?: AbortSignal): Promise<EngineReport>;
  /** Errors: SBX-1101 to SBX-1109; SBX-1001 also when the engine fell silent. */
  pull(image: string, options: PullOptions, signal?: AbortSignal): Promise<PulledImage>;
  findImage(image: string): Promise<PulledImage | undefined>;
  /** SIDE EFFECTS: creates and starts a container, or adopts the one of this name. */
  run(spec: RunSpec, signal?: AbortSignal): Promise<Running>;
  /** Our containers, by label. */
  list(
    labels: Readonly<Record<string, string>>,
  ): Promise<
    readonly { readonly id: string; readonly name: string; readonly labels: Readonly<Record<string, string>>; readonly state: string }[]
  >;
  /** Removes containers and networks that carry these labels and are not in `keep` (container names). Returns what was removed. */
  reap(labels: Readonly<Record<string, string>>, keep: ReadonlySet<string>): Promise<readonly string[]>;
  close(): Promise<void>;
}
