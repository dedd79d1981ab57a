import { readdir, readFile } from "node:fs/promises";

const RUNTIME = /(^|\/)(runsc|containerd-shim)/;

/**
 * Ends what a failed start of a container left running: under gVisor its sandbox, gofer and shim outlive the container. Only processes of
 * a runtime that carry this container's own id on their command line are touched.
 *
 * SIDE EFFECTS: SIGKILL to those processes. Where the engine runs on another host, or this process may not signal them, nothing happens.
 * @returns how many were ended
 */
export async function sweepOrphans(containerId: string, proc = "/proc"): Promise<number> {
  if (!/^[0-9a-f]{64}$/.test(containerId)) return 0;
  let ended = 0;
  for (const entry of await readdir(proc).catch(() => [])) {
    if (!/^\d+$/.test(entry)) continue;
    // It may have ended meanwhile.
    const words = (await readFile(`${proc}/${entry}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (!RUNTIME.test(words[0] ?? "") || !words.some((word) => word.includes(containerId))) continue;
    try {
      process.kill(Number(entry), "SIGKILL");
      ended += 1;
    } catch {
      // Gone, or not ours to end.
    }
  }
  return ended;
}
