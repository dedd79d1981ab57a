import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { TeeFramework } from "@iexec-ts/poco";
import { afterEach, describe, expect, test } from "vitest";
import { teeChecks } from "../cli/doctor/tee-checks.ts";
import { lookForTee } from "./sight.ts";
import { type SgxDriverMode, sgxSteps } from "./steps.ts";
import { teeOf } from "./tee.ts";

const TASK = `0x${"1".repeat(64)}` as const;
const roots: string[] = [];
afterEach(async () => {
  for (const root of roots.splice(0)) await rm(root, { recursive: true, force: true });
});

/** CPUID leaf 7 at its position in the kernel's device. */
const cpuid = (sgx: boolean): Buffer => {
  const file = Buffer.alloc(7 + 16);
  file.writeUInt32LE(sgx ? 0b100 : 0, 7 + 4);
  return file;
};

interface Machine {
  readonly flags?: string;
  readonly vendor?: string;
  readonly kernel?: string;
  readonly cpuid?: boolean;
  readonly files?: readonly string[];
}

/** A file system root with what the machine shows. */
async function machine({
  flags = "fpu",
  vendor = "GenuineIntel",
  kernel = "6.1.0-18-amd64",
  cpuid: says,
  files = [],
}: Machine): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "tee-root-"));
  roots.push(root);
  const put = async (path: string, content: string | Buffer) => {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  };
  await put("/proc/cpuinfo", `processor\t: 0\nvendor_id\t: ${vendor}\nmodel name\t: Some CPU\nflags\t\t: ${flags}\n`);
  await put("/proc/sys/kernel/osrelease", `${kernel}\n`);
  if (says !== undefined) await put("/dev/cpu/0/cpuid", cpuid(says));
  for (const path of files) await put(path, "2.11.0\n");
  return root;
}

const NEW = ["/dev/sgx_enclave", "/dev/sgx_provision"];
const OLD_NAMES = ["/dev/sgx/enclave", "/dev/sgx/provision"];
const ISGX = ["/dev/isgx", "/sys/module/isgx/version"];
const ON = "fpu sgx sgx_lc";

type Case = readonly [what: string, machine: Machine, mode: SgxDriverMode, ready: boolean, firstFailure: string | undefined];

const SGX_CASES: readonly Case[] = [
  ["nothing asked for, everything there", { flags: ON, files: [...NEW, ...ISGX] }, "NONE", false, undefined],
  ["in-kernel driver, kernel's names", { flags: ON, files: NEW }, "NATIVE", true, undefined],
  ["in-kernel driver, directory names", { flags: ON, files: OLD_NAMES }, "NATIVE", true, undefined],
  ["both spellings mixed", { flags: ON, files: ["/dev/sgx/enclave", "/dev/sgx_provision"] }, "NATIVE", true, undefined],
  ["enclave without provision", { flags: ON, files: ["/dev/sgx_enclave"] }, "NATIVE", false, "sgx-kernel"],
  ["provision without enclave", { flags: ON, files: ["/dev/sgx_provision"] }, "NATIVE", false, "sgx-kernel"],
  ["no device at all", { flags: ON }, "NATIVE", false, "sgx-kernel"],
  ["another CPU vendor", { vendor: "AuthenticAMD" }, "NATIVE", false, "sgx-cpu"],
  ["a CPU that says it has none", { cpuid: false }, "NATIVE", false, "sgx-cpu"],
  ["a CPU that cannot be asked", {}, "NATIVE", false, "sgx-cpu"],
  ["switched off in the BIOS", { cpuid: true }, "NATIVE", false, "sgx-bios"],
  ["launch control locked", { flags: "fpu sgx" }, "NATIVE", false, "sgx-bios"],
  ["kernel too old for its own driver", { cpuid: true, kernel: "5.4.0-150-generic" }, "NATIVE", false, "sgx-driver"],
  ["last kernel without", { cpuid: true, kernel: "5.10.0" }, "NATIVE", false, "sgx-driver"],
  ["first kernel with", { flags: ON, kernel: "5.11.0", files: NEW }, "NATIVE", true, undefined],
  ["devices of another machine", { cpuid: true, files: NEW, kernel: "5.4.0" }, "NATIVE", false, "sgx-driver"],
  ["old driver", { cpuid: true, kernel: "5.4.0", files: ISGX }, "LEGACY", true, undefined],
  ["old driver, CPU not asked", { kernel: "5.4.0", files: ISGX }, "LEGACY", true, undefined],
  [
    "old driver loaded, device missing",
    { cpuid: true, kernel: "5.4.0", files: ["/sys/module/isgx/version"] },
    "LEGACY",
    false,
    "sgx-kernel",
  ],
  ["old device without driver", { cpuid: true, kernel: "5.4.0", files: ["/dev/isgx"] }, "LEGACY", false, "sgx-driver"],
  ["old driver asked for on a new kernel", { flags: ON, files: NEW }, "LEGACY", false, "sgx-driver"],
];

describe("SGX", () => {
  test.each(SGX_CASES)("%s", async (_, shown, sgxDriverMode, ready, firstFailure) => {
    const root = await machine(shown);
    const tee = teeOf({ sgxDriverMode, tdx: false }, await lookForTee(root), [{ framework: "scone" }]);
    expect(tee.ready).toEqual({ sgx: ready, tdx: false });
    expect(tee.registration).toEqual({ teeEnabled: ready, tdxEnabled: false });
    expect(tee.problems.map(({ code }) => code)).toEqual(firstFailure === undefined ? [] : ["WRK-1601"]);
    const failure = sgxDriverMode === "NONE" ? undefined : sgxSteps(await lookForTee(root), sgxDriverMode).find(({ ok }) => !ok);
    expect(failure?.id).toBe(firstFailure);
    if (failure !== undefined) expect(failure.fix).toMatch(/\S{3}/);
    const checks = await teeChecks({ sgxDriverMode, tdx: false }, root);
    expect(checks.map(({ id }) => id)).toEqual(sgxDriverMode === "NONE" ? ["tee"] : ["sgx-cpu", "sgx-bios", "sgx-driver", "sgx-kernel"]);
  });

  test("a container gets the devices under the names that images expect", async () => {
    const native = teeOf({ sgxDriverMode: "NATIVE", tdx: false }, await lookForTee(await machine({ flags: ON, files: NEW })));
    expect(native.host.devices).toEqual([
      { host: "/dev/sgx_enclave", container: "/dev/sgx/enclave" },
      { host: "/dev/sgx_provision", container: "/dev/sgx/provision" },
    ]);
    const aesm = "/var/run/aesmd/aesm.socket";
    const legacy = teeOf(
      { sgxDriverMode: "LEGACY", tdx: false },
      await lookForTee(await machine({ kernel: "5.4.0", files: [...ISGX, aesm] })),
    );
    expect(legacy.host).toMatchObject({ devices: [{ host: "/dev/isgx", container: "/dev/isgx" }], aesmSocket: aesm });
  });
});

describe("TDX", () => {
  test.each<[string, Machine, boolean, boolean]>([
    ["not asked for", { files: ["/dev/tdx_guest"] }, false, false],
    ["asked for, not a guest", {}, true, false],
    ["a guest whose module is not loaded", { flags: "fpu tdx_guest" }, true, false],
    ["a guest", { files: ["/dev/tdx_guest"] }, true, true],
    ["a guest with the older name", { files: ["/dev/tdx-guest"] }, true, true],
    ["a guest with the attestation device", { files: ["/dev/tdx-attest"] }, true, true],
    ["a guest with configfs", { files: ["/sys/kernel/config/tsm/report"] }, true, true],
  ])("%s", async (_, shown, tdx, ready) => {
    const root = await machine(shown);
    const tee = teeOf({ sgxDriverMode: "NONE", tdx }, await lookForTee(root), [{ framework: "tdx" }]);
    expect(tee.registration).toEqual({ teeEnabled: false, tdxEnabled: ready });
    expect(tee.problems).toHaveLength(tdx && !ready ? 1 : 0);
  });
});

describe("a TEE task", () => {
  test.each<[TeeFramework | undefined, readonly TeeFramework[], boolean]>([
    ["scone", ["scone"], true],
    ["gramine", ["scone"], false],
    ["tdx", ["scone", "gramine"], false],
    ["scone", [], false],
    [undefined, ["scone", "gramine", "tdx"], false],
  ])("of %s with backends %j", async (framework, backends, taken) => {
    const sight = await lookForTee(await machine({ flags: ON, files: NEW }));
    const tee = teeOf(
      { sgxDriverMode: "NATIVE", tdx: false },
      sight,
      backends.map((one) => ({ framework: one })),
    );
    expect(tee.refusal(TASK, framework)?.code).toBe(taken ? undefined : "WRK-1307");
  });

  test("what is ready but runs no task yet is not registered", async () => {
    const sight = await lookForTee(await machine({ flags: ON, files: [...NEW, "/dev/tdx_guest"] }));
    const tee = teeOf({ sgxDriverMode: "NATIVE", tdx: true }, sight);
    expect(tee).toMatchObject({ ready: { sgx: true, tdx: true }, registration: { teeEnabled: false, tdxEnabled: false }, problems: [] });
  });
});
