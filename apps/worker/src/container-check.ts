import { readFileSync } from "node:fs";
import { access, constants, stat } from "node:fs/promises";
import type { ContainerMount, DockerSandbox } from "@iexec-ts/sandbox";
import { CodedError } from "@iexec-ts/service";
import type { WorkerSettings } from "./config.ts";

/** Docker lays these files of its own into every container. */
const DOCKER_FILE = /\/containers\/([0-9a-f]{64})\/(?:hostname|hosts|resolv\.conf)\s/;

/** Id of the Docker container this process runs in, or undefined. SIDE EFFECTS: reads /proc. */
export function ownContainerId(read: (path: string) => string = (path) => readFileSync(path, "utf8")): string | undefined {
  try {
    return DOCKER_FILE.exec(read("/proc/self/mountinfo"))?.[1];
  } catch {
    // Not Linux: no container of this kind.
    return undefined;
  }
}

type Paths = Pick<WorkerSettings, "dockerSocket" | "walletPath">;

/**
 * What a `docker run` line forgets most often, seen from inside the container and before anything else is done: the socket, the wallet.
 *
 * Errors: WRK-1008 socket, WRK-1009 wallet.
 * @source worker-guide.rst: the volumes "are mandatory, if not defined the worker may not behave as expected"
 */
export async function checkContainerFiles({ dockerSocket, walletPath }: Paths): Promise<void> {
  const socket = dockerSocket.replace(/^unix:\/\//, "");
  if (socket.startsWith("/")) {
    const found = await stat(socket).catch(() => undefined);
    if (found === undefined) throw new CodedError("WRK-1008", { path: socket, reason: "it is not there" });
    if (!found.isSocket()) throw new CodedError("WRK-1008", { path: socket, reason: "it is no socket" });
    if (!(await allowed(socket, constants.R_OK | constants.W_OK)))
      throw new CodedError("WRK-1008", {
        path: socket,
        reason: `user ${process.getuid?.()} may not use it; it belongs to group ${found.gid}`,
      });
  }
  const wallet = await stat(walletPath).catch(() => undefined);
  if (wallet === undefined) throw new CodedError("WRK-1009", { path: walletPath, reason: "it is not there" });
  if (wallet.isDirectory())
    throw new CodedError("WRK-1009", { path: walletPath, reason: "it is a folder, which Docker makes when the file is not there" });
  if (!(await allowed(walletPath, constants.R_OK)))
    throw new CodedError("WRK-1009", { path: walletPath, reason: `user ${process.getuid?.()} may not read it` });
}

const allowed = (path: string, mode: number): Promise<boolean> =>
  access(path, mode).then(
    () => true,
    () => false,
  );

/** The engine of Docker Desktop names a folder of the host by a longer path that ends in the one that was given. */
const samePlace = ({ source, destination }: ContainerMount): boolean =>
  source === destination || (source.startsWith("/host_mnt/") && source.endsWith(destination));

const holds = (folder: string, path: string): boolean => path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);

/** What the path lies in: the mount nearest to it. */
const mountOf = (mounts: readonly ContainerMount[], path: string): ContainerMount | undefined =>
  mounts.filter(({ destination }) => holds(destination, path)).sort((one, other) => other.destination.length - one.destination.length)[0];

const NOBODY_NAMED_IT = /^[0-9a-f]{64}$/;

/**
 * The engine mounts folders of the host, not of this container, into the apps: the base directory must be the same folder at the same path.
 *
 * Errors: WRK-1010; SBX-1001 to SBX-1004.
 * @returns what the operator should know although the worker can start: where the journal would be lost with the container
 */
export async function checkContainerMounts(
  { baseDir, stateDir }: Pick<WorkerSettings, "baseDir" | "stateDir">,
  own: string,
  sandbox: Pick<DockerSandbox, "mountsOf">,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const mounts = await sandbox.mountsOf(own, signal);
  if (mounts === undefined)
    return ["the engine at the socket is not the one that runs this container: the base directory cannot be checked"];
  const base = mountOf(mounts, baseDir);
  if (base === undefined) throw new CodedError("WRK-1010", { path: baseDir, reason: "it is not mounted from the host" });
  if (!samePlace(base)) throw new CodedError("WRK-1010", { path: baseDir, reason: `on the host it is ${base.source}` });
  const state = mountOf(mounts, stateDir);
  if (state === undefined) return [`the journal in ${stateDir} is lost when this container is removed: add -v iexec-worker:${stateDir}`];
  if (state.type === "volume" && NOBODY_NAMED_IT.test(state.name))
    return [
      `the journal is in a volume without a name: drain before this container is removed, or add -v iexec-worker:${stateDir}; to use it in another container, add -v ${state.name}:${stateDir}`,
    ];
  return [];
}
