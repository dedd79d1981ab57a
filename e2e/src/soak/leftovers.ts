import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Address } from "@iexec-ts/poco";
import { LABELS } from "@iexec-ts/sandbox";
import Docker from "dockerode";
import { processesOf } from "../demo/command.ts";

const SETTLE_MS = 15_000;
const LOOK_MS = 250;

/** Containers and networks that carry the label of one of these workers. */
async function ofWorkers(workers: readonly Address[]): Promise<readonly string[]> {
  const docker = new Docker();
  const found = await Promise.all(
    workers.map(async (address) => {
      const filters = { label: [`${LABELS.worker}=${address}`] };
      const [containers, networks] = await Promise.all([docker.listContainers({ all: true, filters }), docker.listNetworks({ filters })]);
      return [
        ...containers.map(({ Names, State }) => `container ${Names.join()} (${State})`),
        ...networks.map(({ Name }) => `network ${Name}`),
      ];
    }),
  );
  return found.flat();
}

const namesIn = (folder: string): Promise<readonly string[]> => readdir(folder).catch(() => []);

/** While everything still runs and nothing is left to do: containers of tasks, and files of tasks. */
async function ofTasks(network: {
  readonly dir: string;
  readonly workers: readonly Address[];
  /** 0: never. */
  readonly proxyKilledAtMs: number;
}): Promise<readonly string[]> {
  const { dir, workers, proxyKilledAtMs } = network;
  const uploads = join(dir, "result-proxy", "uploads");
  const received = await Promise.all(
    (await namesIn(uploads)).map(async (name) => ({
      name,
      mtimeMs: (await stat(join(uploads, name)).catch(() => undefined))?.mtimeMs ?? 0,
    })),
  );
  const bases = await namesIn(join(dir, "tasks"));
  const folders = await Promise.all(
    bases.map(async (base) =>
      (await namesIn(join(dir, "tasks", base))).filter((name) => /^0x/.test(name)).map((name) => `${base}/${name}`),
    ),
  );
  return [
    ...folders.flat().map((name) => `task folder ${name}`),
    ...received.filter(({ mtimeMs }) => mtimeMs > proxyKilledAtMs).map(({ name }) => `upload ${name}`),
    ...(await ofWorkers(workers)),
  ];
}

/** After the end of everything: processes, files, containers, networks and images. */
async function ofAll(run: {
  readonly tmp: string;
  readonly workers: readonly Address[];
  readonly registry: string;
}): Promise<readonly string[]> {
  const [files, processes, labelled, images] = await Promise.all([
    namesIn(run.tmp),
    processesOf(run.tmp),
    ofWorkers(run.workers),
    new Docker().listImages({ all: true }),
  ]);
  const tags = images.flatMap((image) => [...(image.RepoTags ?? []), ...(image.RepoDigests ?? [])]);
  return [
    ...files.map((name) => `file ${name}`),
    ...processes.map((line) => `process ${line}`),
    ...labelled,
    ...tags.filter((name) => name.startsWith(`${run.registry}/iexec-ts/probe`)).map((name) => `image ${name}`),
  ];
}

/** Looks again for a while: what only waits for its turn is not left behind. */
async function settled(look: () => Promise<readonly string[]>): Promise<readonly string[]> {
  const until = Date.now() + SETTLE_MS;
  for (;;) {
    const left = await look();
    if (left.length === 0 || Date.now() > until) return left;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

export const leftOfTasks = (network: Parameters<typeof ofTasks>[0]): Promise<readonly string[]> => settled(() => ofTasks(network));
export const leftOfAll = (run: Parameters<typeof ofAll>[0]): Promise<readonly string[]> => settled(() => ofAll(run));
