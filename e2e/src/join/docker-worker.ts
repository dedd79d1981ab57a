import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import type { Address } from "@iexec-ts/poco";
import { LABELS } from "@iexec-ts/sandbox";
import type Docker from "dockerode";
import { mustRun, run } from "./shell.ts";

/** Where the guide's line keeps the files of tasks on this host. */
export const GUIDE_BASE = "/tmp/iexec-worker";
export const ALL_SET = "Cool, your iexec-worker is all set!";

export const newName = (what: string): string => `iexec-e2e-${what}-${randomBytes(3).toString("hex")}`;

/** What containers print is kept by the engine. */
export async function logsOf(name: string, signal: AbortSignal): Promise<string> {
  return (await run(["docker", "logs", name], signal)).output;
}

/** Waits for the line operators wait for. @returns seconds since `began` */
export async function untilAllSet(docker: Docker, name: string, began: number, signal: AbortSignal): Promise<number> {
  for (;;) {
    const { State } = await docker.getContainer(name).inspect();
    const logs = await logsOf(name, signal);
    if (logs.includes(ALL_SET)) return Math.round((performance.now() - began) / 100) / 10;
    if (!State.Running || signal.aborted) throw new Error(`never joined: ${logs.slice(-800)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Whatever a worker in a container may have left: itself, its helper, apps, networks, volumes without a name, files. */
export async function leftovers(docker: Docker, name: string, wallet: Address): Promise<readonly string[]> {
  const containers = await docker.listContainers({ all: true });
  const networks = await docker.listNetworks({ filters: { label: [`${LABELS.worker}=${wallet}`] } });
  return [
    ...containers
      .filter(
        ({ Names, Labels }) =>
          Names.some((each) => each === `/${name}` || each.startsWith("/iexec-firewall-")) || Labels[LABELS.worker] === wallet,
      )
      .map(({ Names }) => `container ${Names[0]}`),
    ...networks.map(({ Name }) => `network ${Name}`),
  ];
}

/** SIDE EFFECTS: removes the container with its volumes, and its folder on this host. */
export async function removeWorker(name: string, signal: AbortSignal): Promise<void> {
  // In order, so that it takes its helper along.
  await run(["docker", "stop", name], signal);
  await run(["docker", "rm", "-f", "-v", name], signal);
  await rm(`${GUIDE_BASE}/${name}`, { recursive: true, force: true });
}

/** Runs `work` and takes away what it added to the guide's folder on this host. */
export async function keepingGuideBase<T>(work: () => Promise<T>): Promise<T> {
  const there = existsSync(GUIDE_BASE);
  try {
    return await work();
  } finally {
    if (!there) await rm(GUIDE_BASE, { recursive: true, force: true });
  }
}

/** One line with `docker`, its standard output. */
export const docker = (args: readonly string[], signal: AbortSignal): Promise<string> => mustRun(["docker", ...args], signal);
