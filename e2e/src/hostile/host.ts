import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { lstat, mkdir, readdir, readFile, statfs, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";

/** Part of the name of every file that a hostile app tries to put where it does not belong. */
export const MARK = "hostile-mark";

/** A file that must stay as it is and whose content must never be seen in a result. */
export interface Canary {
  readonly path: string;
  readonly secret: string;
  /** What changed, or undefined. */
  fault(): Promise<string | undefined>;
}

/** SIDE EFFECTS: creates the file. */
export async function plantCanary(path: string): Promise<Canary> {
  const secret = `canary-${randomBytes(16).toString("hex")}`;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, secret, { mode: 0o644 });
  const planted = await lstat(path);
  return {
    path,
    secret,
    async fault() {
      const now = await lstat(path);
      if (now.ino !== planted.ino || now.mode !== planted.mode || now.mtimeMs !== planted.mtimeMs || now.nlink !== 1)
        return `${path} was touched`;
      return (await readFile(path, "utf8")) === secret ? undefined : `${path} has another content`;
    },
  };
}

/**
 * Files with the mark on this host's root file system, outside the engine's own storage.
 *
 * @param depth - folders below the root to look into; undefined: all of them, which takes ten seconds and more
 */
export async function markedFiles(depth?: number): Promise<readonly string[]> {
  const skipped = ["-path", "/var/lib/docker", "-o", "-path", "/proc", "-o", "-path", "/sys", "-o", "-name", "node_modules"];
  const limit = depth === undefined ? [] : ["-maxdepth", String(depth)];
  const args = ["/", ...limit, "-xdev", "(", ...skipped, ")", "-prune", "-o", "-name", `*${MARK}*`, "-print"];
  // Files of other programs come and go while it looks: then find says so and goes on.
  const { stdout } = await promisify(execFile)("find", args).catch((thrown: { stdout?: string }) => ({ stdout: thrown.stdout ?? "" }));
  return stdout.split("\n").filter((line) => line !== "");
}

/** Names two levels below a folder, but not inside the entries of `open`. */
export async function namesBelow(root: string, open: readonly string[]): Promise<readonly string[]> {
  const names: string[] = [];
  for (const name of await readdir(root)) {
    names.push(name);
    if (open.includes(name)) continue;
    const inner = await readdir(`${root}/${name}`).catch(() => []);
    names.push(...inner.map((entry) => `${name}/${entry}`));
  }
  return names.sort();
}

export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Processes of the host that carry one of these container ids on their command line. */
export async function processesOf(containerIds: ReadonlySet<string>): Promise<readonly string[]> {
  const found: string[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const words = (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).replaceAll("\0", " ");
    for (const id of containerIds) if (words.includes(id)) found.push(`${pid}: ${words.slice(0, 120)}`);
  }
  return found;
}

/** Packets that firewall rules of ours rejected so far. */
export async function rejectedPackets(): Promise<number> {
  const { stdout } = await promisify(execFile)("iptables-save", ["-c", "-t", "filter"], { maxBuffer: 16 * 1_024 * 1_024 });
  let packets = 0;
  for (const [, count] of stdout.matchAll(/^\[(\d+):\d+\] -A IEXEC-\S+ .*-j REJECT/gm)) packets += Number(count);
  return packets;
}
