import { CodedError } from "@iexec-ts/service";
import { LABELS, type Limits, type RunSpec } from "./api.ts";
import { type EngineFacts, runtimeFor } from "./engine-report.ts";
import type { ImageDetails } from "./engine-schemas.ts";
import type { Profile } from "./options.ts";

const MIB = 1024 * 1024;
const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,199}$/;
const MIN_MEMORY_BYTES = 6 * MIB;
/** gVisor's own host threads count against the limit; below this a sandbox dies without a word. */
const MIN_GVISOR_PIDS = 4096;
const MIN_FILE_BYTES = 2 * 1024 * MIB;
const COMPAT_CAPABILITIES = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"];
const STRICT_USER = "10001:10001";

/** Bytes of a `json-file` entry that holds one empty line: what each byte of a log can cost on disk at worst. */
const LOG_ENTRY_BYTES = 72;
/** Bytes of an escaped byte (`\u0001`). */
const LOG_ESCAPE_BYTES = 6;

/**
 * Size at which the engine starts the second of its two log files.
 *
 * Large enough that both streams together may write `2 * logBytes`, in the worst shape for the driver, and nothing is lost.
 * The engine keeps between one and two times this much per container, whatever the app writes.
 */
export const logFileBytes = (limits: Pick<Limits, "logBytes">): number =>
  2 * limits.logBytes * (LOG_ENTRY_BYTES + LOG_ESCAPE_BYTES) + LOG_ENTRY_BYTES;

/** Most bytes that a log of this many entries and payload bytes can take in the engine's file. */
export const worstLogFileBytes = (entries: number, payloadBytes: number): number =>
  entries * LOG_ENTRY_BYTES + payloadBytes * LOG_ESCAPE_BYTES;

export interface ContainerSettings {
  readonly profile: Profile;
  readonly init: boolean;
  readonly dns: readonly string[];
  /** Name of the run's own network, or undefined for none. */
  readonly network: string | undefined;
}

/** Errors: SBX-1205 for a description the engine would refuse or read differently. */
export function checkSpec(spec: RunSpec): void {
  const refuse = (reason: string): never => {
    throw new CodedError("SBX-1205", { name: spec.name.slice(0, 200), reason });
  };
  if (!NAME.test(spec.name)) refuse("the name is not a container name");
  if (Object.keys(spec.labels).length === 0) refuse("without a label it could never be found again");
  if (LABELS.deadline in spec.labels) refuse("the deadline label is set by the sandbox");
  if (Number.isNaN(spec.deadline.getTime())) refuse("the deadline is not a date");
  for (const [key, value] of Object.entries(spec.env)) {
    if (key === "" || key.includes("=") || key.includes("\0") || value.includes("\0")) refuse("an environment entry is malformed");
  }
  if (spec.args?.some((arg) => arg.includes("\0"))) refuse("an argument contains a zero byte");
  for (const { host, container } of spec.mounts) {
    if (!host.startsWith("/") || !container.startsWith("/") || container === "/") refuse("a mount is not absolute");
  }
  const { memoryBytes, cpus, pids, tmpBytes, outputBytes, logBytes } = spec.limits;
  const whole = [memoryBytes, pids, tmpBytes, outputBytes, logBytes];
  if (!whole.every((limit) => Number.isSafeInteger(limit) && limit > 0) || !(cpus > 0)) refuse("a limit is not a positive number");
  if (memoryBytes < MIN_MEMORY_BYTES) refuse(`an engine gives no less than ${MIN_MEMORY_BYTES} bytes of memory`);
}

/**
 * The engine's description of one hardened container.
 *
 * Folders that the image declares as VOLUME become bounded tmpfs (except in `compat`): an anonymous volume would be an unbounded,
 * writable piece of the host's disk.
 *
 * @source compute.md 6.4
 */
export function containerConfig(spec: RunSpec, image: ImageDetails, engine: EngineFacts, settings: ContainerSettings) {
  const { limits } = spec;
  const runtime = runtimeFor(engine, spec.network);
  const compat = settings.profile === "compat";
  const mounted = new Set(spec.mounts.map((mount) => mount.container));
  const declared = Object.keys(image.Config?.Volumes ?? {}).filter((path) => !mounted.has(path.replace(/(.)\/+$/, "$1")));
  const tmpfs = (bytes: number) => `rw,nosuid,nodev,exec,size=${bytes},nr_inodes=65536,mode=1777`;

  return {
    Image: image.Id,
    ...(spec.args === undefined ? {} : { Cmd: [...spec.args] }),
    ...(settings.profile === "strict" ? { User: STRICT_USER } : {}),
    Env: Object.entries(spec.env).map(([key, value]) => `${key}=${value}`),
    Labels: { ...spec.labels, [LABELS.deadline]: spec.deadline.toISOString() },
    Tty: false,
    OpenStdin: false,
    AttachStdin: false,
    NetworkDisabled: settings.network === undefined,
    // An image's health check would run processes beside the app.
    Healthcheck: { Test: ["NONE"] },
    HostConfig: {
      AutoRemove: false,
      RestartPolicy: { Name: "no" },
      Init: settings.init,
      Runtime: runtime.name,
      NetworkMode: settings.network ?? "none",
      CapDrop: ["ALL"],
      CapAdd: compat ? COMPAT_CAPABILITIES : [],
      Privileged: false,
      SecurityOpt: ["no-new-privileges:true"],
      ReadonlyRootfs: !compat,
      Tmpfs: {
        "/tmp": tmpfs(limits.tmpBytes),
        ...(compat ? {} : { "/var/tmp": tmpfs(64 * MIB), "/run": tmpfs(16 * MIB) }),
        ...(compat ? {} : Object.fromEntries(declared.map((path) => [path, tmpfs(limits.tmpBytes)]))),
      },
      PidsLimit: runtime.gvisor ? Math.max(limits.pids, MIN_GVISOR_PIDS) : limits.pids,
      Memory: limits.memoryBytes,
      MemorySwap: limits.memoryBytes,
      OomScoreAdj: 500,
      NanoCpus: Math.round(Math.min(Math.max(limits.cpus, 0.01), engine.report.cpus) * 1e9),
      CpuShares: 512,
      // Only cgroup v1 accepts the weight on every kernel.
      ...(engine.cgroupV1 ? { BlkioWeight: 300 } : {}),
      ShmSize: 64 * MIB,
      Ulimits: [{ Name: "nofile", Soft: 4096, Hard: 4096 }, { Name: "core", Soft: 0, Hard: 0 }, fileSizeLimit(limits)],
      IpcMode: "private",
      CgroupnsMode: "private",
      Mounts: spec.mounts.map((mount) => ({
        Type: "bind",
        Source: mount.host,
        Target: mount.container,
        ReadOnly: mount.readOnly,
        BindOptions: { Propagation: "rprivate", NonRecursive: true },
      })),
      // Blocking: the other mode drops lines of a fast writer, and stdout can be part of a task's digest.
      LogConfig: { Type: "json-file", Config: { "max-size": String(logFileBytes(limits)), "max-file": "2", mode: "blocking" } },
      ...(settings.network === undefined ? {} : { Dns: [...settings.dns] }),
      PublishAllPorts: false,
    },
  };
}

/** Per file only: the total of the output is the watcher's business. */
function fileSizeLimit({ outputBytes, tmpBytes }: Limits) {
  const bytes = Math.max(MIN_FILE_BYTES, outputBytes, tmpBytes);
  return { Name: "fsize", Soft: bytes, Hard: bytes };
}
