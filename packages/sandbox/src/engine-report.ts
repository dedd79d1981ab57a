import { CodedError } from "@iexec-ts/service";
import type { EngineReport } from "./api.ts";
import type { Engine } from "./engine.ts";
import { type EngineInfo, infoSchema, versionSchema } from "./engine-schemas.ts";

/** What an engine is and can do, read once and kept. */
export interface EngineFacts {
  readonly report: EngineReport;
  /** Name to put into `HostConfig.Runtime`. */
  readonly runtime: string;
  readonly gvisor: boolean;
  /** `linux/amd64` or the like, as images name it. */
  readonly platform: string;
  readonly cgroupV1: boolean;
}

const ARCHITECTURES: Readonly<Record<string, string>> = { x86_64: "amd64", aarch64: "arm64", armv7l: "arm", i686: "386" };

/**
 * Limits that this engine accepts and does not enforce, in words.
 *
 * @source promises.md 2.16; Docker rootless documentation: without cgroup v2 and systemd, resource flags are ignored
 */
export function ignoredLimits(info: EngineInfo): string[] {
  const rootless = info.SecurityOptions.some((option) => option.includes("name=rootless"));
  const none = info.CgroupDriver === "none" || (rootless && info.CgroupVersion === "1");
  const ignored: string[] = [];
  if (none || !info.MemoryLimit) ignored.push("memory");
  // With cgroup v2 the swap limit is part of the memory controller and old engines report it as absent.
  if (none || (info.CgroupVersion === "1" && !info.SwapLimit)) ignored.push("swap (an app can use more than its memory)");
  if (none || !info.CpuCfsQuota) ignored.push("cpus");
  if (none || !info.PidsLimit) ignored.push("pids (a fork bomb reaches the host)");
  if (!info.SecurityOptions.some((option) => option.includes("name=seccomp") && !option.includes("profile=unconfined")))
    ignored.push("seccomp (no system call filter)");
  return ignored;
}

/** Errors: SBX-1001, SBX-1005. */
export async function readEngine(engine: Engine, wanted: "auto" | "runc" | "runsc", signal?: AbortSignal): Promise<EngineFacts> {
  const [version, info] = await Promise.all([
    engine.json({ method: "GET", path: "/version" }, versionSchema, { what: "read its version", signal }),
    engine.json({ method: "GET", path: "/info" }, infoSchema, { what: "read its configuration", signal }),
  ]);
  const runtimes = Object.keys(info.Runtimes ?? {});
  const runtime = chooseRuntime(wanted, runtimes, info.DefaultRuntime);
  return {
    report: {
      version: version.Version,
      apiVersion: version.ApiVersion,
      runtimes,
      runtime,
      cgroupVersion: info.CgroupVersion,
      cpus: info.NCPU,
      memoryBytes: info.MemTotal,
      rootless: info.SecurityOptions.some((option) => option.includes("name=rootless")),
      ignoredLimits: ignoredLimits(info),
    },
    runtime,
    gvisor: runtime.startsWith("runsc"),
    platform: `${info.OSType}/${ARCHITECTURES[info.Architecture] ?? info.Architecture}`,
    cgroupV1: info.CgroupVersion === "1",
  };
}

function chooseRuntime(wanted: "auto" | "runc" | "runsc", runtimes: readonly string[], fallback: string): string {
  if (wanted === "auto") return runtimes.includes("runsc") ? "runsc" : fallback;
  if (!runtimes.includes(wanted)) throw new CodedError("SBX-1005", { runtime: wanted });
  return wanted;
}
