import { readdir, readFile, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join } from "node:path";

/** What a worker may know about the machine it is a guest on. */
export interface HostFacts {
  readonly cpus: number;
  /** CPUs' worth of work done by everybody since the last look but one; undefined at the first look, or where it cannot be told. */
  busyCpus(): Promise<number | undefined>;
  /** Since somebody last typed at a terminal; undefined when nobody has one. */
  inputIdleMs(now: Date): Promise<number | undefined>;
  /** False also where there is no battery. */
  onBattery(): Promise<boolean>;
}

interface CpuTimes {
  readonly busy: number;
  readonly all: number;
}

/** Shorter than this the counters of the kernel are too coarse. */
const LEAST_TICKS = 20;

/**
 * Linux, read from its own files.
 *
 * @param root - where `proc`, `sys` and `dev` are
 */
export function linuxHost(root = "/", cpus: number = availableParallelism()): HostFacts {
  let before: CpuTimes | undefined;
  let busy: number | undefined;
  return {
    cpus,
    async busyCpus() {
      const now = await cpuTimes(root);
      if (now === undefined) return undefined;
      if (before === undefined) before = now;
      const ticks = now.all - before.all;
      if (ticks >= LEAST_TICKS) {
        busy = ((now.busy - before.busy) / ticks) * cpus;
        before = now;
      }
      return busy;
    },
    async inputIdleMs(now) {
      const touched = await Promise.all((await terminals(root)).map((path) => lastRead(path)));
      const newest = Math.max(...touched.filter((at) => at !== undefined));
      return Number.isFinite(newest) ? Math.max(0, now.getTime() - newest) : undefined;
    },
    onBattery: () => runsOnBattery(join(root, "sys/class/power_supply")),
  };
}

const textOf = (path: string): Promise<string | undefined> =>
  readFile(path, "utf8").then(
    (text) => text.trim(),
    () => undefined,
  );
const namesIn = (path: string): Promise<readonly string[]> => readdir(path).catch(() => []);

/** @source proc(5), /proc/stat: user nice system idle iowait irq softirq steal; guest time is part of user time */
async function cpuTimes(root: string): Promise<CpuTimes | undefined> {
  const line = (await textOf(join(root, "proc/stat")))?.split("\n")[0];
  const ticks = line?.startsWith("cpu ") === true ? line.split(/\s+/).slice(1, 9).map(Number) : [];
  if (ticks.length < 5 || ticks.some((value) => !Number.isFinite(value))) return undefined;
  const all = ticks.reduce((sum, value) => sum + value, 0);
  return { all, busy: all - (ticks[3] ?? 0) - (ticks[4] ?? 0) };
}

/** Terminals of people: those in windows and over the network, the consoles, and the graphical session's own. */
async function terminals(root: string): Promise<readonly string[]> {
  const dev = join(root, "dev");
  const [pts, consoles] = await Promise.all([namesIn(join(dev, "pts")), namesIn(dev)]);
  return [
    ...pts.filter((name) => /^\d+$/.test(name)).map((name) => join(dev, "pts", name)),
    ...consoles.filter((name) => /^tty\d+$/.test(name) && name !== "tty0").map((name) => join(dev, name)),
  ];
}

/** The kernel notes when a terminal was last read, as `w` shows it. A console that nobody uses was never read: it has the time of the start. */
const lastRead = (path: string): Promise<number | undefined> =>
  stat(path).then(
    ({ atimeMs }) => atimeMs,
    () => undefined,
  );

/** A battery that drains while no mains is on line; batteries of mice and keyboards do not count. @source sysfs-class-power */
async function runsOnBattery(folder: string): Promise<boolean> {
  let discharging = false;
  for (const name of await namesIn(folder)) {
    const of = (file: string) => textOf(join(folder, name, file));
    const [type, scope, status, online] = await Promise.all([of("type"), of("scope"), of("status"), of("online")]);
    if ((type === "Mains" || type === "USB") && online === "1") return false;
    if (type === "Battery" && scope !== "Device" && status === "Discharging") discharging = true;
  }
  return discharging;
}
