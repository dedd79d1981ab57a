import { readdir } from "node:fs/promises";
import Docker from "dockerode";
import { processesOf } from "../demo/command.ts";

/**
 * What a run that was given this TMPDIR still has on this machine. Others may run the same at the same time: a run is told by its folder
 * and by the wallets whose files were seen in it.
 *
 * @param tmp - its TMPDIR, unique to the run
 * @param wallets - addresses of workers of the run
 */
export async function belongings(tmp: string, wallets: ReadonlySet<string>): Promise<readonly string[]> {
  const docker = new Docker();
  const [files, processes, containers, networks] = await Promise.all([
    readdir(tmp),
    processesOf(tmp),
    docker.listContainers({ all: true }),
    docker.listNetworks(),
  ]);
  const isOurs = (labels: Readonly<Record<string, string>> | undefined) => wallets.has(labels?.["iexec.worker"] ?? "");
  return [
    ...files.map((name) => `file ${name}`),
    ...processes.map((line) => `process ${line}`),
    ...containers
      .filter(({ Labels, Mounts }) => isOurs(Labels) || Mounts.some(({ Source }) => Source.startsWith(tmp)))
      .map(({ Names }) => `container ${Names.join()}`),
    ...networks.filter(({ Labels }) => isOurs(Labels)).map(({ Name }) => `network ${Name}`),
  ];
}

const WALLET_FILE = /(0x[0-9a-f]{40})\.(?:lock|sqlite)$/;

/** Addresses of the workers that keep their files below this folder now. */
export async function walletsBelow(folder: string): Promise<readonly string[]> {
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  return names.flatMap((name) => WALLET_FILE.exec(name)?.[1] ?? []);
}
