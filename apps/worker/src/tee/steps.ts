import type { TeeSight } from "./sight.ts";

/** Driver of the operator's choice, as in the Java worker. @source wire.md 7.3: IEXEC_WORKER_SGX_DRIVER_MODE */
export const SGX_DRIVER_MODES = ["NONE", "LEGACY", "NATIVE"] as const;
export type SgxDriverMode = (typeof SGX_DRIVER_MODES)[number];

/** One step on the way from the CPU to a device that containers can use. */
export interface TeeStep {
  readonly id: "sgx-cpu" | "sgx-bios" | "sgx-driver" | "sgx-kernel" | "tdx-guest";
  readonly title: string;
  readonly ok: boolean;
  readonly seen: string;
  /** The exact thing to do when it is not. */
  readonly fix?: string;
}

const OFF = "or set IEXEC_WORKER_SGX_DRIVER_MODE=NONE";
/** @source worker-guide.rst, SGX worker setup */
const INSTALL_ISGX = "curl -fssl https://raw.githubusercontent.com/SconeDocs/SH/master/install_sgx_driver.sh | sudo bash";

/** In-kernel SGX came with Linux 5.11. */
function hasInKernelDriver(release: string): boolean | undefined {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  if (major === undefined || minor === undefined) return undefined;
  return Number(major) > 5 || (Number(major) === 5 && Number(minor) >= 11);
}

/** Whether the devices that a mode needs are really there. @source compute.md 4.2 */
export function sgxUsable({ sgx, cpu }: TeeSight, mode: SgxDriverMode): boolean {
  switch (mode) {
    case "NONE":
      return false;
    case "LEGACY":
      return sgx.isgx !== undefined && sgx.isgxVersion !== undefined;
    case "NATIVE":
      return sgx.enclave !== undefined && sgx.provision !== undefined && cpu.flags.has("sgx");
  }
}

/** The way from the CPU to the device, step by step; the first that is not ok is the one to mend. Pure. */
export function sgxSteps(sight: TeeSight, mode: Exclude<SgxDriverMode, "NONE">): readonly TeeStep[] {
  return [cpuStep(sight, mode), biosStep(sight, mode), driverStep(sight, mode), kernelStep(sight, mode)];
}

function cpuStep(sight: TeeSight, mode: SgxDriverMode): TeeStep {
  const { flags, cpuidSgx, vendor, model } = sight.cpu;
  const base = { id: "sgx-cpu", title: "SGX: CPU" } as const;
  const name = model || "this CPU";
  if (flags.has("sgx") || cpuidSgx === true || sgxUsable(sight, mode)) return { ...base, ok: true, seen: `${name} has SGX` };
  if (cpuidSgx === false || (vendor !== "" && vendor !== "GenuineIntel"))
    return {
      ...base,
      ok: false,
      seen: `${name} has no SGX`,
      fix: `use a machine whose Intel CPU has SGX (servers: Xeon Scalable from the 3rd generation; desktops: 6th to 10th generation), ${OFF}`,
    };
  return {
    ...base,
    ok: false,
    seen: `the kernel shows no SGX for ${name}, and the CPU cannot be asked`,
    fix: "sudo modprobe cpuid, then run doctor again as root: it tells a CPU without SGX from a BIOS that hides it",
  };
}

function biosStep(sight: TeeSight, mode: SgxDriverMode): TeeStep {
  const { flags } = sight.cpu;
  const base = { id: "sgx-bios", title: "SGX: BIOS" } as const;
  if (mode === "NATIVE" && flags.has("sgx") && !flags.has("sgx_lc"))
    return {
      ...base,
      ok: false,
      seen: "SGX is on, but launch control is locked",
      fix: "in the BIOS set `SGX Launch Control` (or `SGX Launch Enclave policy`) to Unlocked, then power off and on; without such an option use the old driver: IEXEC_WORKER_SGX_DRIVER_MODE=LEGACY",
    };
  if (flags.has("sgx") || sgxUsable(sight, mode)) return { ...base, ok: true, seen: "SGX is switched on" };
  if (hasInKernelDriver(sight.kernel) === false) return { ...base, ok: true, seen: `Linux ${sight.kernel} is too old to tell` };
  return {
    ...base,
    ok: false,
    seen: "the CPU has SGX, but the BIOS has not switched it on",
    fix: "in the BIOS set `Intel SGX` (Software Guard Extensions) to Enabled, not Software Controlled, give it enclave memory (PRMRR) where it asks, then power off and on",
  };
}

function driverStep({ sgx, kernel }: TeeSight, mode: SgxDriverMode): TeeStep {
  const base = { id: "sgx-driver", title: "SGX: driver" } as const;
  const inKernel = hasInKernelDriver(kernel);
  if (mode === "NATIVE")
    return inKernel !== false
      ? { ...base, ok: true, seen: `in the kernel (Linux ${kernel || "of unknown version"})` }
      : {
          ...base,
          ok: false,
          seen: `Linux ${kernel} has no SGX driver of its own`,
          fix: `install Linux 5.11 or newer (Debian 12, Ubuntu 22.04), or the old driver (${INSTALL_ISGX}) with IEXEC_WORKER_SGX_DRIVER_MODE=LEGACY`,
        };
  if (sgx.isgxVersion !== undefined) return { ...base, ok: true, seen: `isgx ${sgx.isgxVersion}` };
  return {
    ...base,
    ok: false,
    seen: "the old driver isgx is not loaded",
    fix:
      inKernel === true
        ? `Linux ${kernel} has its own driver, and the old one does not build on it: set IEXEC_WORKER_SGX_DRIVER_MODE=NATIVE`
        : INSTALL_ISGX,
  };
}

function kernelStep({ sgx, cpu }: TeeSight, mode: SgxDriverMode): TeeStep {
  const base = { id: "sgx-kernel", title: "SGX: devices" } as const;
  const inContainer = "in a container, pass them with --device";
  if (mode === "LEGACY")
    return sgx.isgx !== undefined
      ? { ...base, ok: true, seen: sgx.isgx }
      : { ...base, ok: false, seen: "/dev/isgx is missing", fix: `sudo modprobe isgx; ${inContainer} /dev/isgx` };
  const missing = [...(sgx.enclave === undefined ? ["enclave"] : []), ...(sgx.provision === undefined ? ["provision"] : [])];
  if (missing.length === 0 && cpu.flags.has("sgx")) return { ...base, ok: true, seen: `${sgx.enclave}, ${sgx.provision}` };
  if (missing.length === 0)
    return {
      ...base,
      ok: false,
      seen: "devices without SGX in the CPU's flags",
      fix: "mount this host's own /dev and /proc, not those of another",
    };
  return {
    ...base,
    ok: false,
    seen: `${missing.map((name) => `/dev/sgx_${name}`).join(" and ")} missing (or /dev/sgx/${missing.join(" and /dev/sgx/")})`,
    fix: `check that the kernel was built with it: grep CONFIG_X86_SGX=y /boot/config-$(uname -r); why it is off: dmesg | grep -i sgx; ${inContainer} ${missing.map((name) => `/dev/sgx_${name}`).join(" --device ")}`,
  };
}

/** Whether we run inside a TDX guest. */
export const tdxUsable = ({ tdx }: TeeSight): boolean => tdx.guest !== undefined;

export function tdxStep(sight: TeeSight): TeeStep {
  const base = { id: "tdx-guest", title: "TDX: guest" } as const;
  if (sight.tdx.guest !== undefined) return { ...base, ok: true, seen: sight.tdx.guest };
  const isGuest = sight.cpu.flags.has("tdx_guest");
  return {
    ...base,
    ok: false,
    seen: isGuest ? "this is a TDX guest, but its device is missing" : "this machine is not a TDX guest",
    fix: isGuest
      ? "sudo modprobe tdx_guest (Linux 6.2 or newer); in a container, pass --device /dev/tdx_guest"
      : "start the worker inside a TDX virtual machine, or unset IEXEC_WORKER_TDX_ENABLED",
  };
}

/** One line for whoever did not ask for trusted execution. */
export function teeSummary(sight: TeeSight): string {
  const { flags, cpuidSgx } = sight.cpu;
  const sgx = sgxUsable(sight, "NATIVE")
    ? "SGX (in-kernel driver)"
    : sgxUsable(sight, "LEGACY")
      ? "SGX (old driver)"
      : flags.has("sgx") || cpuidSgx === true
        ? "SGX in the CPU, but no device"
        : "no SGX";
  const tdx = tdxUsable(sight) ? "inside TDX" : flags.has("tdx_host_platform") ? "TDX host" : "no TDX";
  return `${sgx}, ${tdx}`;
}
