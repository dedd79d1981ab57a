import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ContainerMount } from "@iexec-ts/sandbox";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkContainerFiles, checkContainerMounts, ownContainerId } from "./container-check.ts";

let dir: string;
let server: Server;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "iexec-check-"));
  server = createServer();
  await new Promise<void>((resolve) => server.listen(join(dir, "docker.sock"), resolve));
  await writeFile(join(dir, "wallet.json"), "{}");
});
afterEach(async () => {
  await new Promise((resolve) => server.close(resolve));
  await rm(dir, { recursive: true, force: true });
});

const files = (changed: { readonly dockerSocket?: string; readonly walletPath?: string } = {}) =>
  checkContainerFiles({ dockerSocket: join(dir, "docker.sock"), walletPath: join(dir, "wallet.json"), ...changed });

describe("files of the container", () => {
  test("as the guide mounts them", async () => {
    await expect(files()).resolves.toBeUndefined();
    await expect(files({ dockerSocket: `unix://${join(dir, "docker.sock")}` })).resolves.toBeUndefined();
    await expect(files({ dockerSocket: "tcp://engine:2375" })).resolves.toBeUndefined();
  });

  test("no socket, or a folder in its place", async () => {
    await expect(files({ dockerSocket: join(dir, "none") })).rejects.toMatchObject({ code: "WRK-1008" });
    await mkdir(join(dir, "folder"));
    await expect(files({ dockerSocket: join(dir, "folder") })).rejects.toMatchObject({ code: "WRK-1008" });
  });

  test("no wallet, or the folder that Docker makes instead", async () => {
    await expect(files({ walletPath: join(dir, "none") })).rejects.toMatchObject({ code: "WRK-1009" });
    await mkdir(join(dir, "folder"));
    await expect(files({ walletPath: join(dir, "folder") })).rejects.toMatchObject({ code: "WRK-1009" });
  });
});

const bind = (source: string, destination: string): ContainerMount => ({ type: "bind", name: "", source, destination });
const settings = { baseDir: "/tmp/iexec-worker", stateDir: "/var/lib/iexec-worker" };
const check = (mounts: readonly ContainerMount[] | undefined) => checkContainerMounts(settings, "own", { mountsOf: async () => mounts });
const base = bind("/tmp/iexec-worker", "/tmp/iexec-worker");

describe("mounts of the container", () => {
  test("the same path inside and outside", async () => {
    const state: ContainerMount = { type: "volume", name: "mine", source: "/x", destination: "/var/lib/iexec-worker" };
    await expect(check([base, state])).resolves.toEqual([]);
    await expect(check([bind("/tmp", "/tmp"), state])).resolves.toEqual([]);
    await expect(check([bind("/host_mnt/tmp/iexec-worker", "/tmp/iexec-worker"), state])).resolves.toEqual([]);
  });

  test("no mount, another path, or a volume", async () => {
    const volume: ContainerMount = { ...base, type: "volume", name: "v", source: "/var/lib/docker/volumes/v/_data" };
    for (const mounts of [[], [bind("/data", "/tmp/iexec-worker")], [volume], [bind("/tmp/iexec", "/tmp/iexec")]])
      await expect(check(mounts)).rejects.toMatchObject({ code: "WRK-1010" });
  });

  test("a journal that goes with the container is told", async () => {
    const nameless: ContainerMount = { type: "volume", name: "a".repeat(64), source: "/x", destination: "/var/lib/iexec-worker" };
    expect(await check([base])).toHaveLength(1);
    expect(await check([base, nameless])).toHaveLength(1);
  });

  test("another engine cannot tell", async () => {
    expect(await check(undefined)).toHaveLength(1);
  });
});

describe("own container", () => {
  const id = "0123456789abcdef".repeat(4);
  const line = (root: string) => `640 634 254:0 ${root} /etc/hostname rw,relatime - ext4 /dev/vda rw\n`;

  test("Docker's own files tell its id", () => {
    expect(ownContainerId(() => line(`/var/lib/docker/containers/${id}/hostname`))).toBe(id);
    expect(ownContainerId(() => line(`/docker/containers/${id}/resolv.conf`))).toBe(id);
  });

  test("no container", () => {
    expect(ownContainerId(() => line("/etc/hostname"))).toBeUndefined();
    expect(
      ownContainerId(() => {
        throw new Error("no /proc");
      }),
    ).toBeUndefined();
  });
});
