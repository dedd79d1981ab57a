import type { Sandbox } from "./api.ts";
import type { ContainerMount } from "./own-container.ts";
import type { IsolationProof, ProofRequest } from "./prove.ts";
import type { IsolationReport, IsolationTarget } from "./prove-isolation.ts";
import type { PruneRequest } from "./prune-images.ts";

/** What the Docker adapter can do beyond the port. */
export interface DockerSandbox extends Sandbox {
  /** See `pruneImages` in prune-images.ts. SIDE EFFECTS: removes images this worker pulled. */
  pruneImages(request: PruneRequest, signal?: AbortSignal): Promise<readonly string[]>;
  /** See `proveIsolation` in prove-isolation.ts. SIDE EFFECTS: runs a probe container. */
  proveIsolation(
    image: string,
    labels: Readonly<Record<string, string>>,
    extra?: readonly IsolationTarget[],
    signal?: AbortSignal,
  ): Promise<IsolationReport>;
  /**
   * Proves, with containers that try, that what apps are given is all they get on this host: see `proveLimits`. A gVisor that cannot run
   * the probe is not used any more when the runtime is `auto`.
   *
   * Errors: as `run`; SBX-1502 without an image to probe with.
   * SIDE EFFECTS: imports or pulls a small image, runs containers.
   */
  prove(request: ProofRequest, signal?: AbortSignal): Promise<IsolationProof>;
  /**
   * Runs `work` with a small image that holds `sh`.
   *
   * Errors: SBX-1001, SBX-1502. SIDE EFFECTS: imports an image for the time of the work, or pulls one that stays.
   */
  withProbeImage<T>(request: Omit<ProofRequest, "network">, work: (image: string) => Promise<T>, signal?: AbortSignal): Promise<T>;
  /** Changes with whatever a proof depends on: the engine, its version, its runtimes. */
  proofKey(signal?: AbortSignal): Promise<string>;
  /** Whether the firewall rules of isolated runs are in place now. SIDE EFFECTS: puts them in place if they can be. */
  guardEgress(signal?: AbortSignal): Promise<boolean>;
  /** What is mounted into a container; undefined when this engine does not run it. Errors: SBX-1001 to SBX-1004. */
  mountsOf(container: string, signal?: AbortSignal): Promise<readonly ContainerMount[] | undefined>;
}
