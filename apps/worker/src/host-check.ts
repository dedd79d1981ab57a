import { statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { CodedError } from "@iexec-ts/service";

const MIB = 1_024n * 1_024n;

/** Errors: WRK-1002 with fewer than 2 CPUs. @source worker guide: "your computer needs at least 2 CPUs" */
export function checkHost(cpus: number = availableParallelism()): void {
  if (cpus < 2) throw new CodedError("WRK-1002", { cpus });
}

/** Free disk below a path, in MiB. */
export async function freeMib(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path, { bigint: true });
  return Number((bavail * bsize) / MIB);
}
