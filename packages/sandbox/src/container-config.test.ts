import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RunSpec } from "./api.ts";
import { type ContainerSettings, checkSpec, containerConfig, logFileBytes, worstLogFileBytes } from "./container-config.ts";
import { type EngineFacts, ignoredLimits } from "./engine-report.ts";
import { infoSchema } from "./engine-schemas.ts";

const MIB = 1024 * 1024;
const INFO = {
  NCPU: 2,
  MemTotal: 8e9,
  Architecture: "x86_64",
  CgroupVersion: "2",
  CgroupDriver: "systemd",
  MemoryLimit: true,
  SwapLimit: true,
  PidsLimit: true,
  CpuCfsQuota: true,
  SecurityOptions: ["name=seccomp,profile=default"],
};
const engine = (over: Partial<EngineFacts> = {}): EngineFacts => ({
  report: {
    version: "20.10.24",
    apiVersion: "1.41",
    runtimes: ["runc"],
    runtime: "runc",
    networkRuntime: "runc",
    cgroupVersion: "2",
    cpus: 2,
    memoryBytes: 8e9,
    rootless: false,
    weaknesses: [],
    ignoredLimits: [],
  },
  engineId: "A",
  platform: "linux/amd64",
  cgroupV1: false,
  ...over,
});
const image = (volumes: Record<string, object> = {}) => ({
  Id: "sha256:1",
  RepoTags: [],
  RepoDigests: [],
  Size: 1,
  Architecture: "amd64",
  Os: "linux",
  Config: { Volumes: volumes },
});
const spec: RunSpec = {
  name: "w-0x1",
  image: "x:1",
  args: ["a"],
  env: { A: "1" },
  labels: { "iexec.worker": "w" },
  mounts: [{ host: "/t/out", container: "/iexec_out", readOnly: false }],
  limits: { memoryBytes: 64 * MIB, cpus: 1, pids: 100, tmpBytes: MIB, outputBytes: MIB, logBytes: 1_000 },
  network: "none",
  deadline: new Date("2026-11-24T10:00:00Z"),
};
const settings: ContainerSettings = { profile: "standard", init: true, dns: [], network: undefined };
const host = (over: Partial<ContainerSettings> = {}, facts = engine(), of = image()) =>
  containerConfig(spec, of, facts, { ...settings, ...over }).HostConfig;

describe("every profile and policy", () => {
  test("keeps what makes a container a cage", () => {
    for (const profile of ["standard", "strict", "compat"] as const) {
      for (const network of [undefined, "n"]) {
        expect(host({ profile, network })).toMatchObject({
          Privileged: false,
          CapDrop: ["ALL"],
          SecurityOpt: ["no-new-privileges:true"],
          Memory: 64 * MIB,
          MemorySwap: 64 * MIB,
          PidsLimit: 100,
          NanoCpus: 1e9,
          IpcMode: "private",
          CgroupnsMode: "private",
          NetworkMode: network ?? "none",
          PublishAllPorts: false,
          RestartPolicy: { Name: "no" },
          AutoRemove: false,
        });
        // Set by us these would replace the engine's defaults.
        for (const absent of ["MaskedPaths", "ReadonlyPaths", "Devices", "Sysctls", "PidMode", "UsernsMode", "Binds"]) {
          expect(host({ profile, network })).not.toHaveProperty(absent);
        }
      }
    }
  });

  test("the deadline travels as a label", () => {
    expect(containerConfig(spec, image(), engine(), settings).Labels).toEqual({
      "iexec.worker": "w",
      "iexec.deadline": "2026-11-24T10:00:00.000Z",
    });
  });

  test("only compat has capabilities and a writable root", () => {
    expect(host()).toMatchObject({ CapAdd: [], ReadonlyRootfs: true });
    expect(host({ profile: "compat" })).toMatchObject({
      CapAdd: ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"],
      ReadonlyRootfs: false,
    });
    expect(containerConfig(spec, image(), engine(), { ...settings, profile: "strict" })).toMatchObject({ User: "10001:10001" });
  });

  test("volumes of the image become bounded, those under our mounts stay ours", () => {
    const { Tmpfs } = host({}, engine(), image({ "/data": {}, "/iexec_out/": {} }));
    expect(Object.keys(Tmpfs).sort()).toEqual(["/data", "/run", "/tmp", "/var/tmp"]);
    expect(Tmpfs).toMatchObject({ "/data": expect.stringContaining(`size=${MIB},`) });
  });

  test("gVisor needs more processes, and no engine more processors than it has", () => {
    expect(host({}, engine({ report: { ...engine().report, runtime: "runsc" } })).PidsLimit).toBe(4096);
    const many = { ...spec, limits: { ...spec.limits, cpus: 64 } };
    expect(containerConfig(many, image(), engine(), settings).HostConfig.NanoCpus).toBe(2e9);
  });
});

test("a log within its cap never reaches the size at which files rotate", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 * MIB }), fc.double({ min: 0, max: 1, noNaN: true }), (logBytes, share) => {
      const payload = 2 * logBytes;
      const entries = Math.max(1, Math.floor(payload * share));
      expect(worstLogFileBytes(entries, payload)).toBeLessThanOrEqual(logFileBytes({ logBytes }));
    }),
  );
});

test.each<[string, Partial<RunSpec>]>([
  ["a name like an option", { name: "--rm" }],
  ["a label of the sandbox", { labels: { "iexec.deadline": "x" } }],
  ["a zero byte in an argument", { args: ["a\0b"] }],
  ["a zero byte in the environment", { env: { A: "b\0C=d" } }],
  ["the root as a mount", { mounts: [{ host: "/x", container: "/", readOnly: false }] }],
  ["no memory", { limits: { ...spec.limits, memoryBytes: 0 } }],
  ["a fraction of a byte", { limits: { ...spec.limits, outputBytes: 1.5 } }],
  ["no processor", { limits: { ...spec.limits, cpus: 0 } }],
])("%s is refused", (_, over) => {
  expect(() => checkSpec({ ...spec, ...over })).toThrow(expect.objectContaining({ code: "SBX-1205" }));
});

describe("limits an engine would ignore", () => {
  const ignored = (over: object) => ignoredLimits(infoSchema.parse({ ...INFO, ...over })).map((limit) => limit.split(" ")[0]);

  test("none on a complete engine", () => expect(ignored({})).toEqual([]));
  test("all of them on a rootless engine with cgroup v1", () => {
    const rootless = { CgroupVersion: "1", CgroupDriver: "cgroupfs", SecurityOptions: [...INFO.SecurityOptions, "name=rootless"] };
    expect(ignored(rootless)).toEqual(["memory", "swap", "cpus", "pids"]);
  });
  test("all of them without a cgroup driver", () => expect(ignored({ CgroupDriver: "none" })).toEqual(["memory", "swap", "cpus", "pids"]));
  test("swap only with cgroup v1", () => {
    expect(ignored({ SwapLimit: false })).toEqual([]);
    expect(ignored({ SwapLimit: false, CgroupVersion: "1" })).toEqual(["swap"]);
  });
  test("an unconfined system call filter", () => {
    expect(ignored({ SecurityOptions: ["name=seccomp,profile=unconfined"] })).toEqual(["seccomp"]);
  });
});
