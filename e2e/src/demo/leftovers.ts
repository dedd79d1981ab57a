import { readdir } from "node:fs/promises";
import Docker from "dockerode";
import { type Command, processesOf } from "./command.ts";

const SETTLE_MS = 10_000;

/**
 * What a run of the network has left on this machine: nothing, it promises.
 *
 * Others may run a network on the same engine: containers are told apart by the folders they mount, images by their registry's port.
 */
async function leftovers({ tmp }: Command, registryPort: number): Promise<readonly string[]> {
  const docker = new Docker();
  const [files, processes, containers, images, networks] = await Promise.all([
    readdir(tmp),
    processesOf(tmp),
    docker.listContainers({ all: true, filters: { label: ["iexec.worker"] } }),
    docker.listImages({ all: true }),
    docker.listNetworks(),
  ]);
  const registry = `127.0.0.1:${registryPort}/`;
  return [
    ...files.map((name) => `file ${name}`),
    ...processes.map((line) => `process ${line}`),
    ...containers.filter((c) => c.Mounts.some((mount) => mount.Source.startsWith(tmp))).map((c) => `container ${c.Names.join()}`),
    ...images
      .flatMap((image) => [...(image.RepoTags ?? []), ...(image.RepoDigests ?? [])])
      .filter((name) => name.startsWith(registry))
      .map((name) => `image ${name}`),
    ...networks.filter((n) => /^worker-\d+-0x\w+-net$/.test(n.Name)).map((n) => `network ${n.Name}`),
  ];
}

/** Errors: when something is still there, naming it. What only waits for the kernel to notice its end is given a moment. */
export async function requireNothingLeft(command: Command, registryPort: number): Promise<void> {
  const swept = /ended what was left: .*/.exec(command.stderr);
  if (swept !== null) throw new Error(`it did not end in order what it started: ${swept[0]}`);
  const until = Date.now() + SETTLE_MS;
  for (;;) {
    const left = await leftovers(command, registryPort);
    if (left.length === 0) return;
    if (Date.now() > until) throw new Error(`left behind: ${left.join("; ")}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
