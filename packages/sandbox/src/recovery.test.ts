import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CodedError } from "@iexec-ts/service";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { LABELS } from "./api.ts";
import { type DockerWorld, dockerWorld } from "./test/docker-world.ts";
import { docker, importTestImage, removeTestImage } from "./test/test-image.ts";

const IMAGE = `sandbox-recovery-${randomBytes(4).toString("hex")}:1`;
let world: DockerWorld;

beforeAll(() => importTestImage(IMAGE));
afterAll(() => removeTestImage(IMAGE));
beforeEach(() => {
  world = dockerWorld();
});
afterEach(() => world.close());

const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => "no error",
    (thrown: unknown) => (thrown instanceof CodedError ? thrown.code : thrown),
  );

describe("what a crashed worker left behind", () => {
  const leave = (deadline: Date, script: string) => {
    const spec = world.spec(IMAGE, script);
    const labels = { ...spec.labels, [LABELS.deadline]: deadline.toISOString() };
    return docker.createContainer({
      name: spec.name,
      Image: IMAGE,
      Cmd: ["/bin/sh", "-c", script],
      Labels: labels,
      HostConfig: { NetworkMode: "none" },
    });
  };

  test("a container that was created and never started is started", async () => {
    const left = await leave(new Date(Date.now() + 60_000), "echo once");
    const running = await world.open().run(world.spec(IMAGE, "echo once"));
    expect(running).toMatchObject({ adopted: true, id: left.id });
    expect(await running.wait()).toMatchObject({ exitCode: 0, stdout: { text: "once\n" } });
  });

  test("a paused container goes on", async () => {
    const left = await leave(new Date(Date.now() + 60_000), "sleep 1; echo on");
    await left.start();
    await left.pause();
    const running = await world.open().run(world.spec(IMAGE, "echo on"));
    expect(await running.wait()).toMatchObject({ exitCode: 0, stdout: { text: "on\n" } });
  });

  test("a container killed at its deadline by the crashed worker has timed out", async () => {
    const left = await leave(new Date(Date.now() - 1_000), "sleep 60");
    await left.start();
    await left.kill();
    expect(await (await world.open().run(world.spec(IMAGE, "sleep 60"))).wait()).toMatchObject({ exitCode: 137, timedOut: true });
  });

  test("a container that ended well past its deadline has not timed out: the exit came before the kill", async () => {
    const left = await leave(new Date(Date.now() - 1_000), "exit 4");
    await left.start();
    await left.wait();
    expect(await (await world.open().run(world.spec(IMAGE, "exit 4"))).wait()).toMatchObject({ exitCode: 4, timedOut: false });
  });

  test("two workers of one name start one container", async () => {
    const spec = world.spec(IMAGE, "echo one");
    const both = await Promise.all([world.open().run(spec), world.open().run(spec)]);
    expect(new Set(both.map(({ id }) => id)).size).toBe(1);
    expect(both.map(({ adopted }) => adopted).sort()).toEqual([false, true]);
    for (const running of both) expect((await running.wait()).stdout.text).toBe("one\n");
  });
});

describe("start failures", () => {
  test("an entry point that does not exist leaves no container", async () => {
    const sandbox = world.open({ init: false });
    expect(await codeOf(sandbox.run(world.spec(IMAGE, undefined, { args: ["/nowhere"] })))).toBe("SBX-1203");
    expect(await sandbox.list({ [LABELS.worker]: world.id })).toEqual([]);
  });

  test("a folder that does not exist where the engine runs", async () => {
    const mounts = [{ host: `/nowhere-${world.id}`, container: "/iexec_in", readOnly: true }];
    expect(await codeOf(world.open().run(world.spec(IMAGE, "true", { mounts })))).toBe("SBX-1206");
  });

  test("a runtime that is not installed", async () => {
    const { runtimes } = await world.open().inspectEngine();
    if (!runtimes.includes("runsc")) expect(await codeOf(world.open({ runtime: "runsc" }).inspectEngine())).toBe("SBX-1005");
  });
});

describe("an engine that is away", () => {
  test("is reported", async () => {
    expect(await codeOf(world.open({ socketPath: "/nowhere/docker.sock" }).inspectEngine())).toBe("SBX-1001");
    expect(await codeOf(world.open({ host: "tcp://127.0.0.1:1" }).findImage(IMAGE))).toBe("SBX-1001");
    expect(() => world.open({ host: "ftp://x" })).toThrow(expect.objectContaining({ code: "SBX-1007" }));
  });

  test("is waited for, and the app's end is then found", async () => {
    const gate = await openGate();
    const running = await world.open({ socketPath: gate.path }).run(world.spec(IMAGE, "sleep 2; echo survived; exit 5"));
    const result = running.wait();
    await gate.shut();
    await docker.getContainer(running.id).wait();
    await gate.reopen();
    expect(await result).toMatchObject({ exitCode: 5, timedOut: false, stdout: { text: "survived\n" } });
    await gate.shut();
  });

  test("does not extend a deadline", async () => {
    const gate = await openGate();
    const spec = world.spec(IMAGE, "while true; do sleep 1; done", { deadline: new Date(Date.now() + 2_500) });
    const running = await world.open({ socketPath: gate.path }).run(spec);
    const result = running.wait();
    await gate.shut();
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, spec.deadline.getTime() - Date.now() + 100)));
    await gate.reopen();
    expect(await result).toMatchObject({ exitCode: 137, timedOut: true });
    await gate.shut();
  });

  test("and took the app with it is told apart from an app that failed", async () => {
    const gate = await openGate();
    const running = await world.open({ socketPath: gate.path }).run(world.spec(IMAGE, "while true; do sleep 1; done"));
    const result = codeOf(running.wait());
    await gate.shut();
    await docker.getContainer(running.id).kill();
    await gate.reopen();
    expect(await result).toBe("SBX-1302");
    await gate.shut();
  });

  test("that answers nothing is given up", async () => {
    const path = join(tmpdir(), `sandbox-mute-${randomBytes(5).toString("hex")}.sock`);
    const mute = createServer().listen(path);
    expect(await codeOf(world.open({ socketPath: path, callTimeoutMs: 200 }).findImage(IMAGE))).toBe("SBX-1001");
    mute.close();
  });
});

/** A door before the engine that can be shut, which cuts all connections, and opened again. */
async function openGate() {
  const path = join(tmpdir(), `sandbox-gate-${randomBytes(5).toString("hex")}.sock`);
  const open = new Set<Socket>();
  let server: Server | undefined;
  const reopen = () =>
    new Promise<void>((resolve) => {
      server = createServer((client) => {
        const engine = connect("/var/run/docker.sock");
        for (const [from, to] of [
          [client, engine],
          [engine, client],
        ] as const) {
          open.add(from);
          from.pipe(to);
          from.on("error", () => to.destroy());
          from.on("close", () => {
            open.delete(from);
            to.destroy();
          });
        }
      });
      server.listen(path, resolve);
    });
  const shut = async () => {
    const closing = new Promise((resolve) => server?.close(resolve));
    for (const socket of open) socket.destroy();
    await closing;
    await rm(path, { force: true });
  };
  await reopen();
  return { path, shut, reopen };
}
