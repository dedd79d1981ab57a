import { readFile } from "node:fs/promises";
import type { DockerSandbox, IsolationProof } from "@iexec-ts/sandbox";
import {
  type Backoff,
  type Clock,
  CodedError,
  createWatchdog,
  type Logger,
  orAborted,
  type Pulse,
  replaceFile,
  type Watchdog,
} from "@iexec-ts/service";
import { z } from "zod";
import { faultFrom, faultOf } from "./replicate/faults.ts";
import { canRetry } from "./replicate/retry.ts";

const proofSchema = z.object({
  key: z.string(),
  at: z.string(),
  runtime: z.string(),
  proven: z.boolean(),
  limits: z.array(z.object({ limit: z.string(), proven: z.boolean(), seen: z.string() })),
});

/** What the last proof on this host said. */
export type RememberedProof = z.infer<typeof proofSchema>;

export interface IsolationDeps {
  readonly sandbox: Pick<DockerSandbox, "prove" | "proofKey" | "reap">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly backoff: () => Backoff;
  /** Watches the proof; one of its own unless given. */
  readonly watchdog?: Watchdog;
  /** Another one after each start of the host. */
  readonly bootId?: () => Promise<string>;
}

export interface IsolationOptions {
  /** Where the proof is kept; workers that share the file share the proof, which is about the host. */
  readonly path: string;
  readonly network: "isolated" | "none";
  readonly labels: Readonly<Record<string, string>>;
  readonly probeImage: string;
  /** Take tasks although a limit is not proved. */
  readonly allowUnproved: boolean;
}

/** One proof with a small image that may have to be pulled first; the engine may be slow. */
const PROOF_BOUND_MS = 1_200_000;

const hostBootId = (): Promise<string> =>
  readFile("/proc/sys/kernel/random/boot_id", "utf8").then(
    (text) => text.trim(),
    () => "",
  );

/** The proof kept at `path`, or undefined. */
export async function readProof(path: string): Promise<RememberedProof | undefined> {
  try {
    return proofSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    // None yet, or one that cannot be read any more: it is made again.
    return undefined;
  }
}

/**
 * Lets apps run only where their isolation is proved. The proof is made anew after each start, in the background: before the first app where
 * none is remembered for this host, engine and runtime, and beside it where one is.
 *
 * @source promises.md 2.16
 */
export class IsolationGuard {
  readonly #options: IsolationOptions;
  readonly #deps: IsolationDeps;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<() => void>();
  #proving: Promise<void> | undefined;
  #refusal: CodedError | undefined;

  constructor(options: IsolationOptions, deps: IsolationDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** Why no task may be taken: SBX-1501, once a proof failed. */
  refusal(): CodedError | undefined {
    return this.#refusal;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Begins the proof when none is remembered, so that the first app need not wait for all of it. SIDE EFFECTS: as `DockerSandbox.prove`. */
  async begin(): Promise<void> {
    if (!(await this.#remembered())) this.#prove();
  }

  /**
   * Resolves when an app may run.
   *
   * Errors: SBX-1501; the signal's reason.
   * SIDE EFFECTS: the first call begins the proof of this start.
   */
  async ready(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const proving = this.#prove();
    const remembered = await this.#remembered();
    signal.throwIfAborted();
    if (!remembered) await orAborted(proving, signal);
    if (this.#refusal !== undefined) throw this.#refusal;
  }

  async close(): Promise<void> {
    this.#stop.abort(new CodedError("WRK-1313"));
    await this.#proving;
    // A probe that was given up while it started.
    if (this.#proving !== undefined) await this.#deps.sandbox.reap(this.#options.labels, new Set()).catch(() => undefined);
  }

  async #key(): Promise<string> {
    const { sandbox, bootId = hostBootId } = this.#deps;
    return `${await sandbox.proofKey(this.#stop.signal)}-${this.#options.network}-${await bootId()}`;
  }

  async #remembered(): Promise<boolean> {
    const known = await readProof(this.#options.path);
    if (known?.proven !== true || this.#stop.signal.aborted) return false;
    return this.#key().then(
      (key) => key === known.key,
      () => false,
    );
  }

  #prove(): Promise<void> {
    const { clock, log, watchdog = createWatchdog({ clock, log }) } = this.#deps;
    this.#proving ??= watchdog.keep({ loop: "isolation proof", boundMs: PROOF_BOUND_MS, signal: this.#stop.signal }, async (pulse) => {
      try {
        await this.#proveUntilDone(pulse);
      } catch (thrown) {
        if (!pulse.signal.aborted) this.#conclude(CodedError.from(thrown));
      }
    });
    return this.#proving;
  }

  /** What is wrong with the host at this moment, such as an engine that restarts, is waited out. */
  async #proveUntilDone({ signal, beat }: Pulse): Promise<void> {
    const { sandbox, clock, log, backoff } = this.#deps;
    const { network, labels, probeImage } = this.#options;
    const waits = backoff();
    for (;;) {
      beat();
      try {
        const began = clock.monotonicMs();
        const proof = await sandbox.prove({ network, labels, fallbackImage: probeImage }, signal);
        signal.throwIfAborted();
        // The proof holds without its file, which only saves the next start some seconds.
        await this.#remember(proof).catch((thrown: unknown) => log.warn("the proof is not kept", { error: CodedError.from(thrown) }));
        const missing = proof.limits.filter(({ proven }) => !proven);
        if (proof.proven) log.info("isolation proved", { runtime: proof.runtime, network, ms: Math.round(clock.monotonicMs() - began) });
        this.#conclude(
          proof.proven
            ? undefined
            : new CodedError("SBX-1501", { missing: missing.map(({ limit, seen }) => `${limit} (${seen})`).join("; ") }),
        );
        return;
      } catch (thrown) {
        const error = faultFrom(thrown);
        const passes = canRetry(error) || faultOf(error).blame === "us";
        if (signal.aborted || !passes || error.code === "SBX-1502") throw error;
        log.warn("isolation could not be proved yet", { error });
        await clock.sleep(waits.nextMs(), signal);
      }
    }
  }

  #conclude(error: CodedError | undefined): void {
    const fault =
      error === undefined || error.code === "SBX-1501"
        ? error
        : new CodedError("SBX-1501", { missing: `${error.code}: ${error.message}` }, { cause: error });
    if (fault !== undefined) {
      const { allowUnproved } = this.#options;
      this.#deps.log[allowUnproved ? "warn" : "error"](allowUnproved ? "apps run although" : "no app runs here", { error: fault });
      this.#refusal = allowUnproved ? undefined : fault;
    }
    for (const listener of this.#listeners) listener();
  }

  async #remember({ runtime, proven, limits }: IsolationProof): Promise<void> {
    const { path } = this.#options;
    const proof: RememberedProof = {
      key: await this.#key(),
      at: this.#deps.clock.now().toISOString(),
      runtime,
      proven,
      limits: [...limits],
    };
    await replaceFile(path, `${JSON.stringify(proof, null, 2)}\n`, { mode: 0o644 });
  }
}
