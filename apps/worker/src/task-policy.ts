import { totalmem } from "node:os";
import type { WorkerSettings } from "./config.ts";
import type { TaskPolicy } from "./replicate/ports.ts";

const MIB = 1_024 * 1_024;
/** Kept for the worker, the engine and the host's own programs. */
const RESERVED_BYTES = 768 * MIB;
const LEAST_TASK_BYTES = 256 * MIB;

/** What each task may use on this host, from the operator's settings. @source compute.md 3.2, 6.4, 6.6 (defaults) */
export function taskPolicy(settings: Omit<WorkerSettings, "walletPassword">, slots: number): TaskPolicy {
  const share = Math.max(LEAST_TASK_BYTES, Math.floor((totalmem() - RESERVED_BYTES) / slots));
  return {
    limits: {
      memoryBytes: settings.memoryMib === undefined ? share : settings.memoryMib * MIB,
      cpus: 1,
      pids: 256,
      tmpBytes: 256 * MIB,
      outputBytes: settings.maxOutputBytes,
      // The engine keeps a multiple of this on disk per container, so that what is kept is never lost to rotation.
      logBytes: MIB,
    },
    network: settings.network,
    fetch: {
      limits: {
        maxBytes: settings.maxDownloadBytes,
        connectMs: 10_000,
        idleMs: Math.min(30_000, settings.downloadTimeoutMs),
        totalMs: settings.downloadTimeoutMs,
        maxRedirects: 5,
        tries: 3,
      },
      allowPrivate: settings.allowPrivate,
      gateways: settings.gateways,
    },
    output: {
      entries: 10_000,
      depth: 32,
      pathBytes: 1_024,
      fileBytes: 512 * MIB,
      totalBytes: settings.maxOutputBytes,
      computedJsonBytes: MIB,
      callbackBytes: 64 * 1_024,
    },
    pullTimeout: { minMinutes: settings.minPullTimeoutMs / 60_000, maxMinutes: settings.maxPullTimeoutMs / 60_000 },
    environment: settings.strictJava ? "v9" : "union",
    errorText: settings.errorText,
  };
}
