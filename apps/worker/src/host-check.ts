import { mkdir, statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { CodedError } from "@iexec-ts/service";
import { oneLook } from "./one-look.ts";

const MIB = 1_024n * 1_024n;

/** Errors: WRK-1002 with fewer than 2 CPUs. @source worker guide: "your computer needs at least 2 CPUs" */
export function checkHost(cpus: number = availableParallelism()): void {
  if (cpus < 2) throw new CodedError("WRK-1002", { cpus });
}

/** One for each folder that was asked about: a handful, from the settings. */
const disks = new Map<string, () => Promise<number>>();

/** Free disk below a path, in MiB. Errors: WRK-1536 when the disk does not answer; those of the system. */
export function freeMib(path: string): Promise<number> {
  const known = disks.get(path);
  if (known !== undefined) return known();
  const look = oneLook(`the disk of ${path}`, async () => {
    const { bavail, bsize } = await statfs(path, { bigint: true });
    return Number((bavail * bsize) / MIB);
  });
  disks.set(path, look);
  return look();
}

/** Tasks computed at once: one CPU each, one CPU kept for the worker; a GPU is not shared. */
export const slotsOf = (settings: { readonly gpu: boolean; readonly cpus?: number | undefined }): number =>
  settings.gpu ? 1 : (settings.cpus ?? Math.max(availableParallelism() - 1, 1));

/** WRK-1003 when less than `needed` MiB is free where tasks are computed. */
export async function diskRefusal(path: string, needed: number): Promise<CodedError | undefined> {
  const free = await freeMib(path);
  return free < needed ? new CodedError("WRK-1003", { free, path, needed, setting: "IEXEC_WORKER_BASE_DIR" }) : undefined;
}

/** SIDE EFFECTS: makes the folder where it is missing. Errors: WRK-1006, naming the setting that gave the path. */
export async function writable(path: string, setting: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode: 0o755 });
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    throw new CodedError("WRK-1006", { path, setting, reason }, { cause: thrown });
  }
}
