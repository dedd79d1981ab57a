import { CodedError } from "@iexec-ts/service";
import type { EngineReport, NetworkPolicy } from "./api.ts";
import type { Engine } from "./engine.ts";
import { type EngineInfo, infoSchema, versionSchema } from "./engine-schemas.ts";
import { chooseRuntimes, isGvisor, type WantedRuntime } from "./runtimes.ts";

/** What an engine is and can do, read once and kept. */
export interface EngineFacts {
  readonly report: EngineReport;
  /** What the engine calls itself; another engine has another name. */
  readonly engineId: string;
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

const FIRST_WITHOUT_IO_URING = 25;

/** Under runc the engine's own system call filter is what an app meets. @source Docker Engine 25.0 release notes: io_uring blocked by default */
export function weaknesses(version: string, runtime: string): string[] {
  const major = Number.parseInt(version, 10);
  if (isGvisor(runtime) || !(major < FIRST_WITHOUT_IO_URING)) return [];
  return [
    `Docker ${version} lets apps use io_uring, a frequent way into the kernel: update to ${FIRST_WITHOUT_IO_URING} or newer, use gVisor, or set kernel.io_uring_disabled=2 on this host`,
  ];
}

/** Errors: SBX-1001, SBX-1005. */
export async function readEngine(
  engine: Engine,
  wanted: WantedRuntime,
  broken: ReadonlySet<string>,
  signal?: AbortSignal,
): Promise<EngineFacts> {
  const [version, info] = await Promise.all([
    engine.json({ method: "GET", path: "/version" }, versionSchema, { what: "read its version", signal }),
    engine.json({ method: "GET", path: "/info" }, infoSchema, { what: "read its configuration", signal }),
  ]);
  const chosen = chooseRuntimes(wanted, info, broken);
  return {
    engineId: info.ID,
    report: {
      version: version.Version,
      apiVersion: version.ApiVersion,
      runtimes: Object.keys(info.Runtimes ?? {}),
      runtime: chosen.none,
      networkRuntime: chosen.isolated,
      cgroupVersion: info.CgroupVersion,
      cpus: info.NCPU,
      memoryBytes: info.MemTotal,
      rootless: info.SecurityOptions.some((option) => option.includes("name=rootless")),
      weaknesses: weaknesses(version.Version, chosen.isolated ?? chosen.none),
      ignoredLimits: ignoredLimits(info),
    },
    platform: `${info.OSType}/${ARCHITECTURES[info.Architecture] ?? info.Architecture}`,
    cgroupV1: info.CgroupVersion === "1",
  };
}

/**
 * Runtime of a run with this network.
 *
 * Errors: SBX-1403 when gVisor is asked for and the engine registers it only without a network.
 */
export function runtimeFor({ report }: EngineFacts, network: NetworkPolicy): { readonly name: string; readonly gvisor: boolean } {
  const name = network === "none" ? report.runtime : report.networkRuntime;
  if (name === undefined) throw new CodedError("SBX-1403", { runtime: report.runtime });
  return { name, gvisor: isGvisor(name) };
}
