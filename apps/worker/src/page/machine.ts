import { arch, availableParallelism, hostname, platform, release, totalmem } from "node:os";
import type { EngineReport } from "@iexec-ts/sandbox";
import { bytes } from "../cli/view/bytes.ts";
import type { WorkerSettings } from "../config.ts";
import type { MachineView } from "./model.ts";

const MIB = 1_048_576;

/** What this host offers, for its operator. */
export function machineView(
  settings: WorkerSettings,
  engine: EngineReport | undefined,
  tee: string,
  freeMib: number | undefined,
): MachineView {
  return {
    host: hostname(),
    os: `${platform()} ${release()} ${arch()}`,
    cpus: availableParallelism(),
    memory: bytes(totalmem()),
    node: process.version,
    engine:
      engine === undefined ? "not looked at yet" : `Docker ${engine.version}, runtime ${engine.runtime}, cgroup v${engine.cgroupVersion}`,
    ignoredLimits: engine?.ignoredLimits ?? [],
    disk:
      freeMib === undefined
        ? null
        : {
            free: bytes(freeMib * MIB),
            needed: bytes(settings.minFreeMib * MIB),
            path: settings.baseDir,
            low: freeMib < settings.minFreeMib,
          },
    gpu: settings.gpu,
    tee,
  };
}
