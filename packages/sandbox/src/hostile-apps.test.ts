import { randomBytes } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { RunSpec } from "./api.ts";
import { logFileBytes } from "./container-config.ts";
import type { DockerSandboxOptions } from "./options.ts";
import { type DockerWorld, dockerWorld } from "./test/docker-world.ts";
import { docker, importTestImage, removeTestImage } from "./test/test-image.ts";

const IMAGE = `sandbox-hostile-${randomBytes(4).toString("hex")}:1`;
const VOLUME_IMAGE = `sandbox-volume-${randomBytes(4).toString("hex")}:1`;
let world: DockerWorld;

beforeAll(async () => {
  await importTestImage(IMAGE);
  await importTestImage(VOLUME_IMAGE, ["VOLUME /data", "VOLUME /iexec_out"]);
});
afterAll(async () => {
  await removeTestImage(IMAGE);
  await removeTestImage(VOLUME_IMAGE);
});
beforeEach(() => {
  world = dockerWorld();
});
afterEach(() => world.close());

async function runScript(script: string | undefined, over: Partial<RunSpec> = {}, options: DockerSandboxOptions = {}, image = IMAGE) {
  const running = await world.open(options).run(world.spec(image, script, over));
  return running.wait();
}

/** `Name: value` lines as a record. */
const fields = (text: string): Record<string, string> =>
  Object.fromEntries(text.split("\n").map((line) => [line.split(":")[0] ?? "", line.slice(line.indexOf(":") + 1).trim()]));

describe("what an app is given", () => {
  test("no capability, no new privileges, a system call filter", async () => {
    const { stdout } = await runScript("grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status");
    expect(fields(stdout.text)).toMatchObject({
      CapInh: "0000000000000000",
      CapPrm: "0000000000000000",
      CapEff: "0000000000000000",
      CapBnd: "0000000000000000",
      NoNewPrivs: "1",
      Seccomp: "2",
    });
  });

  test("compat gives the five capabilities of package installers and no more", async () => {
    const { stdout } = await runScript("grep CapEff /proc/self/status; echo written >/file && cat /file", {}, { profile: "compat" });
    // CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, SETGID 6, SETUID 7
    expect(stdout.text.replace(/\s+/g, " ")).toBe("CapEff: 00000000000000cb written ");
  });

  test("strict runs the app as an ordinary user who can write to /tmp and the output", async () => {
    const mounts = [{ host: await world.outputFolder(), container: "/iexec_out", readOnly: false }];
    const { stdout } = await runScript(
      "id -u; echo a >/tmp/a && echo b >/iexec_out/b && cat /tmp/a /iexec_out/b",
      { mounts },
      { profile: "strict" },
    );
    expect(stdout.text).toBe("10001\na\nb\n");
  });

  test("the environment and arguments of the run, and nothing of the worker", async () => {
    const { stdout } = await runScript("env | grep -v -E '^(HOSTNAME|HOME|SHLVL|PWD)='", {
      env: { IEXEC_OUT: "/iexec_out", TRICKY: "a b'\"$(id)" },
    });
    expect(stdout.text.split("\n").filter(Boolean).sort()).toEqual(["IEXEC_OUT=/iexec_out", "PATH=/bin", "TRICKY=a b'\"$(id)"]);
  });

  test("arguments are never read by a shell or by the engine", async () => {
    const args = ["/bin/echo", "--privileged", "-v", "/:/host", "$(id)", "a\nb", "' \""];
    expect((await runScript(undefined, { args })).stdout.text).toBe("--privileged -v /:/host $(id) a\nb ' \"\n");
  });

  test("the image's own command when there are no arguments", async () => {
    expect((await runScript(undefined)).stdout.text).toBe("default\n");
  });
});

describe("what an app cannot do", () => {
  test("write outside its output and tmpfs", async () => {
    const mounts = [
      { host: await world.outputFolder(), container: "/iexec_out", readOnly: false },
      { host: await world.outputFolder(), container: "/iexec_in", readOnly: true },
    ];
    const script = "for d in / /bin /etc /iexec_in /tmp /var/tmp /run /iexec_out; do touch $d/x 2>/dev/null && echo $d; done; true";
    expect((await runScript(script, { mounts })).stdout.text).toBe("/tmp\n/var/tmp\n/run\n/iexec_out\n");
  });

  test("fill the disk through /tmp or through a volume its image declares", async () => {
    const mounts = [{ host: await world.outputFolder(), container: "/iexec_out", readOnly: false }];
    const script =
      "for d in /tmp /data; do dd if=/dev/zero of=$d/x bs=1M count=40 2>/dev/null || echo full $d; rm -f $d/x; done; touch /iexec_out/kept";
    const { stdout } = await runScript(script.replace("rm -f", "echo >"), { mounts }, {}, VOLUME_IMAGE);
    expect(stdout.text).toBe("full /tmp\nfull /data\n");
    expect(await readdir(mounts[0]?.host ?? "")).toEqual(["kept"]);
  });

  test("make devices, mount, unshare or see the kernel's secrets", async () => {
    const attempts = {
      mknod: "mknod /tmp/zero c 1 5",
      mount: "mount -t tmpfs none /tmp",
      unshare: "unshare -U true",
      kcore: "head -c 1 /proc/kcore | grep -q .",
      sysrq: "echo h >/proc/sysrq-trigger",
      chown: "touch /tmp/f && chown 5:5 /tmp/f",
      socket: "ls /var/run/docker.sock /run/docker.sock",
    };
    const script = Object.entries(attempts).map(([name, attempt]) => `if (${attempt}) >/dev/null 2>&1; then echo ${name}; fi`);
    expect(await runScript(script.join("\n"))).toMatchObject({ exitCode: 0, stdout: { text: "" } });
  });

  test("multiply beyond its process limit", async () => {
    const bomb = "bomb() { bomb | bomb & }; bomb 2>/dev/null; sleep 1; echo survived";
    const running = await world.open().run(world.spec(IMAGE, bomb, { deadline: new Date(Date.now() + 6_000) }));
    const counted = await docker.getContainer(running.id).stats({ stream: false });
    expect(counted.pids_stats?.current ?? 0).toBeLessThanOrEqual(64);
    await running.kill();
    expect((await running.wait()).timedOut).toBe(false);
    expect((await docker.getContainer(running.id).inspect()).State.Running).toBe(false);
  });

  test("take more memory than it was given: the first process", async () => {
    const result = await runScript(undefined, { args: ["tail", "-c", "500000000", "/dev/zero"] }, { init: false });
    expect(result).toMatchObject({ exitCode: 137, oomKilled: true, timedOut: false });
  });

  test("take more memory than it was given: a child, whose parent ends well", async () => {
    const result = await runScript("tail -c 500000000 /dev/zero; echo child gone");
    expect(result).toMatchObject({ exitCode: 0, oomKilled: true, stdout: { text: "child gone\n" } });
  });

  test("outlive its deadline by ignoring SIGTERM or by leaving processes behind", async () => {
    const script = "trap '' TERM INT HUP; (trap '' TERM; while true; do sleep 1; done) & while true; do sleep 1; done";
    const running = await world.open().run(world.spec(IMAGE, script, { deadline: new Date(Date.now() + 1_500) }));
    expect(await running.wait()).toMatchObject({ exitCode: 137, timedOut: true, oomKilled: false });
    expect((await docker.getContainer(running.id).inspect()).State.Running).toBe(false);
  });

  test("fill its output: large files, or very many", async () => {
    const mounts = [{ host: await world.outputFolder(), container: "/iexec_out", readOnly: false }];
    const large = await runScript("i=0; while true; do i=$((i+1)); dd if=/dev/zero of=/iexec_out/$i bs=1M count=4 2>/dev/null; done", {
      mounts,
    });
    expect(large).toMatchObject({ exitCode: 137, outputExceeded: true, timedOut: false });

    const other = [{ host: await world.outputFolder(), container: "/iexec_out", readOnly: false }];
    const many = "i=0; while true; do i=$((i+1)); ln -s x /iexec_out/$i; done";
    const running = await world.open({ outputEntries: 50 }).run(world.spec(IMAGE, many, { name: `${world.id}-many`, mounts: other }));
    expect(await running.wait()).toMatchObject({ exitCode: 137, outputExceeded: true });
  });

  test("hide a too large output by ending before it is seen", async () => {
    const mounts = [{ host: await world.outputFolder(), container: "/iexec_out", readOnly: false }];
    const result = await runScript("dd if=/dev/zero of=/iexec_out/big bs=1M count=20 2>/dev/null; sync", { mounts });
    expect(result.outputExceeded).toBe(true);
  });
});

describe("logs", () => {
  test("a flood is cut and takes a bounded part of the disk", async () => {
    const logBytes = 8_192;
    const spec = world.spec(IMAGE, "yes | head -c 600000; echo end; echo problem >&2", {});
    const running = await world.open().run({ ...spec, limits: { ...spec.limits, logBytes } });
    const { stdout, stderr } = await running.wait();
    expect(Buffer.byteLength(stdout.text)).toBe(logBytes);
    expect(stdout).toMatchObject({ truncated: true });
    expect(stdout.text.endsWith("y\nend\n")).toBe(true);
    // What stderr held early may have left with the older file: that is said.
    expect(stderr.truncated).toBe(true);
    const { LogPath } = await docker.getContainer(running.id).inspect();
    const sizes = await Promise.all([LogPath, `${LogPath}.1`].map(async (path) => (await stat(path)).size));
    expect(sizes[0]).toBeLessThanOrEqual(logFileBytes({ logBytes }) + 100);
    expect(sizes[1]).toBeLessThanOrEqual(logFileBytes({ logBytes }) + 100);
  });

  test("nothing of the worst-shaped log within the cap is lost", async () => {
    const spec = world.spec(IMAGE, "yes '' | head -c 20000; yes '' | head -c 20000 >&2");
    const running = await world.open().run({ ...spec, limits: { ...spec.limits, logBytes: 20_000 } });
    const whole = { text: "\n".repeat(20_000), bytes: 20_000, truncated: false };
    expect(await running.wait()).toMatchObject({ stdout: whole, stderr: whole });
  });

  test.each(["stream", "frames"] as const)("characters of several bytes survive many frames (%s)", async (decode) => {
    const line = "zażółć gęślą jaźń €🦊";
    const { stdout } = await runScript(`i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo '${line}'; done`, {}, { decode });
    expect(stdout.text).toBe(`${line}\n`.repeat(300));
  });

  test("a last line without an end keeps its shape", async () => {
    expect((await runScript("printf 'a\\nb'")).stdout.text).toBe("a\nb");
  });
});
