import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@iexec-ts/service";
import { LABELS, type RunSpec } from "../api.ts";
import { createDockerSandbox } from "../docker-sandbox.ts";
import type { DockerSandbox } from "../docker-sandbox-api.ts";
import type { DockerSandboxDeps, DockerSandboxOptions } from "../options.ts";
import { docker } from "./test-image.ts";

export const MIB = 1024 * 1024;

/** A corner of the real engine: names and labels of its own, all of it removed by `close`. */
export interface DockerWorld {
  readonly id: string;
  open(options?: DockerSandboxOptions, deps?: Partial<DockerSandboxDeps>): DockerSandbox;
  spec(image: string, script: string | undefined, over?: Partial<RunSpec>): RunSpec;
  outputFolder(): Promise<string>;
  addForeign(name: string, image: string): Promise<void>;
  close(): Promise<void>;
}

export function dockerWorld(): DockerWorld {
  const id = `sbxtest-${randomBytes(5).toString("hex")}`;
  const sandboxes: DockerSandbox[] = [];
  const folders: string[] = [];
  const foreign: string[] = [];
  const open = (options: DockerSandboxOptions = {}, deps: Partial<DockerSandboxDeps> = {}) => {
    const sandbox = createDockerSandbox({ runtime: "runc", ...options }, { clock: systemClock, ...deps });
    sandboxes.push(sandbox);
    return sandbox;
  };
  return {
    id,
    open,
    spec: (image, script, over = {}) => ({
      name: `${id}-app`,
      image,
      args: script === undefined ? undefined : ["/bin/sh", "-c", script],
      env: {},
      labels: { [LABELS.worker]: id, [LABELS.task]: "0x01", [LABELS.stage]: "app" },
      mounts: [],
      limits: { memoryBytes: 64 * MIB, cpus: 1, pids: 64, tmpBytes: 16 * MIB, outputBytes: 16 * MIB, logBytes: 64 * 1024 },
      network: "none",
      deadline: new Date(Date.now() + 120_000),
      ...over,
    }),
    outputFolder: async () => {
      const folder = await mkdtemp(join(tmpdir(), "sandbox-output-"));
      await chmod(folder, 0o777);
      folders.push(folder);
      return folder;
    },
    addForeign: async (name, image) => {
      await docker.createContainer({ name, Image: image, Cmd: ["true"] });
      foreign.push(name);
    },
    close: async () => {
      await open().reap({ [LABELS.worker]: id }, new Set());
      for (const sandbox of sandboxes) await sandbox.close();
      for (const name of foreign) await docker.getContainer(name).remove({ force: true });
      for (const folder of folders) await rm(folder, { recursive: true, force: true });
    },
  };
}
