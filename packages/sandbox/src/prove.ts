import { createHash } from "node:crypto";
import { type Clock, CodedError } from "@iexec-ts/service";
import type { EngineReport, NetworkPolicy, PulledImage, Running, RunSpec } from "./api.ts";
import type { Engine } from "./engine.ts";
import type { SandboxLogger } from "./options.ts";
import { probeImage } from "./probe-image.ts";
import type { IsolationReport } from "./prove-isolation.ts";
import { type LimitProof, proveLimits } from "./prove-limits.ts";
import { isGvisor } from "./runtimes.ts";

export interface ProofRequest {
  /** Network of the apps. */
  readonly network: NetworkPolicy;
  readonly labels: Readonly<Record<string, string>>;
  /** Pulled where this host has no static busybox; must hold `sh`, `nc` and the like. */
  readonly fallbackImage: string;
}

/** What containers of this runtime could not do on this host when they tried. */
export interface IsolationProof {
  readonly runtime: string;
  readonly network: NetworkPolicy;
  readonly proven: boolean;
  readonly limits: readonly LimitProof[];
}

export interface ProvePorts {
  readonly clock: Clock;
  readonly engine: Engine;
  readonly logger: SandboxLogger;
  /** Another runtime may be taken when this one does not work. */
  readonly auto: boolean;
  readonly report: () => Promise<EngineReport>;
  readonly run: (spec: RunSpec, signal?: AbortSignal) => Promise<Running>;
  readonly pull: (image: string, timeoutMs: number) => Promise<PulledImage>;
  readonly proveEgress: (image: string) => Promise<IsolationReport>;
  /** These runtimes are not to be used any more. */
  readonly avoid: (runtimes: readonly string[]) => void;
}

/**
 * The whole proof: finds an image to probe with, runs the probe under the runtime that apps of this network get, and falls back from a
 * gVisor that cannot run it.
 *
 * Errors: as `Sandbox.run`; SBX-1502.
 * SIDE EFFECTS: imports or pulls a small image, runs containers.
 */
export async function proveOnEngine(ports: ProvePorts, request: ProofRequest, signal?: AbortSignal): Promise<IsolationProof> {
  const { labels, network, fallbackImage } = request;
  const { engine, clock, logger } = ports;
  const probe = await probeImage(
    engine,
    { id: proofKey(Object.entries(labels).flat()), fallback: fallbackImage, pull: ports.pull },
    signal,
  );
  try {
    for (;;) {
      const { runtimes, runtime: offline, networkRuntime } = await ports.report();
      const runtime = network === "none" ? offline : networkRuntime;
      if (runtime === undefined) throw new CodedError("SBX-1403", { runtime: offline });
      try {
        const proveEgress = () => ports.proveEgress(probe.image);
        const limits = await proveLimits(
          { clock, engine, runtime: offline, run: ports.run, proveEgress },
          probe.image,
          labels,
          network,
          signal,
        );
        return { runtime, network, proven: limits.every(({ proven }) => proven), limits };
      } catch (thrown) {
        const unusable = ["SBX-1202", "SBX-1203", "SBX-1207"].some((code) => CodedError.from(thrown).code === code);
        const gvisor = [offline, runtime].some(isGvisor);
        if (!unusable || !gvisor || !ports.auto) throw thrown;
        const { message } = CodedError.from(thrown);
        logger.warn("gVisor is registered but cannot run a container here; apps run without it", { runtime, reason: message });
        ports.avoid(runtimes.filter(isGvisor));
      }
    }
  } finally {
    await probe.remove();
  }
}

/** Short name of everything a proof depends on: it holds as long as this does not change. */
export const proofKey = (parts: readonly string[]): string => createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 16);
