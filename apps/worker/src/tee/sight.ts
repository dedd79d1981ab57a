import { access, open, readFile } from "node:fs/promises";
import { join } from "node:path";

/** What this machine shows of trusted execution; nothing is concluded yet. */
export interface TeeSight {
  readonly cpu: {
    readonly vendor: string;
    readonly model: string;
    readonly flags: ReadonlySet<string>;
    /** What the CPU itself says of SGX, whatever the BIOS made of it; undefined when it cannot be asked. */
    readonly cpuidSgx: boolean | undefined;
  };
  /** Such as `6.1.0-18-amd64`; empty when unknown. */
  readonly kernel: string;
  readonly sgx: {
    /** In-kernel driver, under either spelling. */
    readonly enclave: string | undefined;
    readonly provision: string | undefined;
    /** Old out-of-tree driver. */
    readonly isgx: string | undefined;
    readonly isgxVersion: string | undefined;
    readonly aesmSocket: string | undefined;
  };
  readonly tdx: {
    /** Device of a guest, under any of its names, or the newer interface through configfs. */
    readonly guest: string | undefined;
    readonly agent: string | undefined;
  };
}

/** First spelling: what containers expect. Second: what kernels from 5.11 on make by themselves. @source compute.md 4.2 */
const ENCLAVE = ["/dev/sgx/enclave", "/dev/sgx_enclave"];
const PROVISION = ["/dev/sgx/provision", "/dev/sgx_provision"];
const ISGX = ["/dev/isgx"];
const AESM = ["/var/run/aesmd/aesm.socket", "/run/aesmd/aesm.socket"];
const TDX_GUEST = ["/dev/tdx_guest", "/dev/tdx-guest", "/dev/tdx-attest", "/dev/tdx_attest", "/sys/kernel/config/tsm/report"];
const TDX_AGENT = ["/usr/local/bin/secret_provider_agent"];
const ISGX_VERSION = "/sys/module/isgx/version";

/**
 * Looks for SGX and TDX below `root`, which is `/` but for tests.
 *
 * SIDE EFFECTS: none; only reads.
 */
export async function lookForTee(root = "/"): Promise<TeeSight> {
  const at = (path: string): string => join(root, path);
  const text = (path: string) => readFile(at(path), "utf8").catch(() => "");
  const firstOf = async (paths: readonly string[]): Promise<string | undefined> => {
    for (const path of paths) {
      const there = await access(at(path)).then(
        () => true,
        () => false,
      );
      if (there) return path;
    }
    return undefined;
  };
  const cpuinfo = await text("/proc/cpuinfo");
  const field = (name: string): string => new RegExp(`^${name}\\s*:\\s*(.*)$`, "m").exec(cpuinfo)?.[1]?.trim() ?? "";
  return {
    cpu: {
      vendor: field("vendor_id"),
      model: field("model name"),
      flags: new Set(field("flags").split(/\s+/).filter(Boolean)),
      cpuidSgx: await cpuidSgx(at("/dev/cpu/0/cpuid")),
    },
    kernel: (await text("/proc/sys/kernel/osrelease")).trim(),
    sgx: {
      enclave: await firstOf(ENCLAVE),
      provision: await firstOf(PROVISION),
      isgx: await firstOf(ISGX),
      isgxVersion: (await text(ISGX_VERSION)).trim() || undefined,
      aesmSocket: await firstOf(AESM),
    },
    tdx: { guest: await firstOf(TDX_GUEST), agent: await firstOf(TDX_AGENT) },
  };
}

const LEAF = 7;
const EBX_OFFSET = 4;
const SGX_BIT = 2;

/** Leaf 7 of CPUID through the kernel's device: the position in the file is the leaf. @source cpuid(4); Intel SDM: EBX bit 2 is SGX */
async function cpuidSgx(path: string): Promise<boolean | undefined> {
  try {
    const file = await open(path, "r");
    try {
      const registers = Buffer.alloc(16);
      const { bytesRead } = await file.read(registers, 0, registers.length, LEAF);
      return bytesRead === registers.length ? ((registers.readUInt32LE(EBX_OFFSET) >>> SGX_BIT) & 1) === 1 : undefined;
    } finally {
      await file.close();
    }
  } catch {
    // No such device, or not for this user: then it is not known.
    return undefined;
  }
}
