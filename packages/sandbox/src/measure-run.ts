import { hasCode } from "@iexec-ts/service";
import type { RunSpec } from "./api.ts";
import { inspectContainer } from "./containers.ts";
import { measureTree } from "./disk-usage.ts";
import type { Engine } from "./engine.ts";
import type { SandboxLogger } from "./options.ts";
import type { Measure } from "./output-watch.ts";

export interface MeasurePorts {
  readonly engine: Engine;
  readonly logger: SandboxLogger;
  /** The app may write to its root file system, which then counts. */
  readonly writableRoot: boolean;
  /** Files, folders and links it may have. */
  readonly entries: number;
}

/** What the app of a run has written to disk: its writable mounts, and the root file system where that is writable. */
export async function measureRun(spec: RunSpec, id: string, ports: MeasurePorts, signal: AbortSignal): Promise<Measure> {
  const { outputBytes } = spec.limits;
  let bytes = 0;
  let left = ports.entries;
  for (const mount of spec.mounts) {
    if (mount.readOnly) continue;
    const usage = await measureTree(mount.host, { bytes: outputBytes - bytes, entries: left }, signal);
    if (usage.unreadable > 0) ports.logger.warn("parts of the output cannot be measured", { container: spec.name });
    bytes += usage.bytes;
    left -= usage.entries;
    if (usage.exceeded) return { bytes, exceeded: true };
  }
  if (ports.writableRoot) bytes += await rootBytes(ports.engine, id, signal);
  return { bytes, exceeded: bytes > outputBytes };
}

/** While the engine is away nothing can be asked; the next look will tell. */
async function rootBytes(engine: Engine, id: string, signal: AbortSignal): Promise<number> {
  try {
    return (await inspectContainer(engine, id, signal, { size: true }))?.SizeRw ?? 0;
  } catch (thrown) {
    if (hasCode(thrown, "SBX-1001")) return 0;
    throw thrown;
  }
}
