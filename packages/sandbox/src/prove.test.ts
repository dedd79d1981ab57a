import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { LABELS } from "./api.ts";
import { isStatic } from "./probe-image.ts";
import { proofKey } from "./prove.ts";
import { type LimitProof, readLimits } from "./prove-limits.ts";
import { dockerWorld } from "./test/docker-world.ts";
import { docker } from "./test/test-image.ts";

const { Runtimes = {} } = (await docker.info()) as { Runtimes?: Record<string, unknown> };
const labels = { [LABELS.worker]: `prove-${randomBytes(5).toString("hex")}` };
const request = { labels, network: "isolated", fallbackImage: "busybox:1.37.0" } as const;
const unproved = (limits: readonly LimitProof[]) => limits.filter(({ proven }) => !proven);

test.each(["runc", "runsc"] as const)(
  "%s: every limit is proved on this host, and nothing of the probe is left",
  async (runtime) => {
    if (!(runtime in Runtimes)) return;
    const world = dockerWorld();
    try {
      const sandbox = world.open({ runtime });
      const proof = await sandbox.prove(request);
      expect(unproved(proof.limits)).toEqual([]);
      expect(proof).toMatchObject({ proven: true, network: "isolated" });
      expect(proof.runtime.startsWith(runtime)).toBe(true);
      expect(proof.limits.map(({ limit }) => limit)).toEqual(
        expect.arrayContaining([
          "memory",
          "pids",
          "cpus",
          "capabilities",
          "no-new-privileges",
          "system-calls",
          "root-file-system",
          "network",
        ]),
      );
      expect(await sandbox.list(labels)).toEqual([]);
      expect(await docker.listImages({ filters: { label: [`iexec.probe=${proofKey(Object.entries(labels).flat())}`] } })).toEqual([]);
    } finally {
      await world.close();
    }
  },
  120_000,
);

test("the key of a proof is stable, and another runtime has another", async () => {
  const world = dockerWorld();
  try {
    const [a, b] = [await world.open().proofKey(), await world.open().proofKey()];
    expect(a).toBe(b);
    if ("runsc" in Runtimes) expect(await world.open({ runtime: "runsc" }).proofKey()).not.toBe(a);
  } finally {
    await world.close();
  }
});

const said = (lines: Readonly<Record<string, string>>, more = "") => ({
  stdout: {
    text: `${Object.entries(lines)
      .map(([name, value]) => `${name}: ${value}`)
      .join("\n")}\n${more}`,
    bytes: 0,
    truncated: false,
  },
});
const HONEST = {
  CapEff: "0000000000000000",
  CapBnd: "0000000000000000",
  NoNewPrivs: "1",
  Seccomp: "2",
  kernel: "Linux version 6.1.0",
  root: "read-only",
  routes: "0",
};
const BUSY = "started: 1\nstarted: 60\n";
const KERNEL = { pids: 64, cpus: 0.5 };

test("a host that honours everything is proved", () => {
  expect(unproved(readLimits(said(HONEST, BUSY), KERNEL, false))).toEqual([]);
});

test.each<[string, Partial<typeof HONEST>, string, string]>([
  ["a capability is left", { CapBnd: "00000000a80425fb" }, BUSY, "capabilities"],
  ["privileges can be gained", { NoNewPrivs: "0" }, BUSY, "no-new-privileges"],
  ["no system call filter", { Seccomp: "0" }, BUSY, "system-calls"],
  ["a writable root", { root: "writable" }, BUSY, "root-file-system"],
  ["a route where there is no network", { routes: "2" }, BUSY, "network"],
  ["processes without limit", {}, BUSY.replace("started: 60", "started: 200"), "pids"],
])("%s is no proof", (_name, lines, more, limit) => {
  expect(unproved(readLimits(said({ ...HONEST, ...lines }, more), KERNEL, false)).map((one) => one.limit)).toEqual([limit]);
});

test.each([{ cpus: 1.9 }, { cpus: 0 }, {}])("CPU without limit, or without an answer, is no proof: %j", (kernel) => {
  expect(unproved(readLimits(said(HONEST, BUSY), kernel, false)).map((one) => one.limit)).toEqual(["cpus"]);
});

test("under gVisor the host's kernel is asked for the process limit, and the guest's kernel must be gVisor's", () => {
  const guest = { ...HONEST, Seccomp: "0", NoNewPrivs: "", kernel: "Linux version 4.4.0 #1 SMP" };
  expect(unproved(readLimits(said(guest, BUSY), { ...KERNEL, pids: 4_096 }, true))).toEqual([]);
  expect(unproved(readLimits(said(guest, BUSY), { cpus: 0.5 }, true)).map(({ limit }) => limit)).toEqual(["pids"]);
  expect(unproved(readLimits(said({ ...guest, kernel: "Linux version 6.1.0" }, BUSY), KERNEL, true)).map(({ limit }) => limit)).toEqual([
    "system-calls",
  ]);
});

test("a program with an interpreter is not static", async () => {
  expect(await isStatic("/bin/sh")).toBe(false);
  expect(await isStatic("/nothing here")).toBe(false);
});
