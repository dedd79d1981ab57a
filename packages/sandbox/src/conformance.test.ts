import { randomBytes } from "node:crypto";
import { systemClock } from "@iexec-ts/service";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ConformanceApp, sandboxConformance } from "./conformance.ts";
import { createFakeSandbox, type FakeApp, FakeEngine } from "./fake-sandbox.ts";
import { dockerWorld } from "./test/docker-world.ts";
import { importTestImage, removeTestImage } from "./test/test-image.ts";
import { startTestRegistry, type TestRegistry } from "./test/test-registry.ts";

describe("fake", () => {
  const apps: Record<ConformanceApp, FakeApp> = {
    hello: { stdout: "out\n", stderr: "err\n" },
    "exit-3": { exitCode: 3 },
    forever: { runMs: "forever" },
    wordy: { stdout: "a".repeat(100_000) },
    "out-of-memory": { exitCode: 137, oomKilled: true },
    greedy: { runMs: "forever", outputBytes: 64 * 1024 * 1024 },
  };
  sandboxConformance({ describe, test, expect }, async () => {
    const engine = new FakeEngine(systemClock);
    for (const [name, app] of Object.entries(apps)) engine.publish(`apps/${name}:1`, app);
    return {
      id: `fake-${randomBytes(4).toString("hex")}`,
      open: () => createFakeSandbox(engine),
      app: (app) => ({ image: `apps/${app}:1`, args: undefined }),
      missingImage: "apps/missing:1",
      addForeign: async (name) => engine.addForeign(name),
      outputFolder: async () => "/nowhere",
      close: async () => undefined,
    };
  });
});

describe("docker", () => {
  const local = `sandbox-conformance-${randomBytes(4).toString("hex")}:1`;
  let registry: TestRegistry;
  let image: string;

  beforeAll(async () => {
    registry = await startTestRegistry();
    await importTestImage(local);
    image = await registry.push(local, "apps/shell", "1");
  });
  afterAll(async () => {
    await registry.stop();
    await removeTestImage(image);
    await removeTestImage(local);
  });

  const scripts: Record<ConformanceApp, string> = {
    hello: "echo out; echo err >&2",
    "exit-3": "exit 3",
    forever: "trap '' TERM; while true; do sleep 1; done",
    wordy: "head -c 100000 /dev/zero | tr '\\0' a",
    // The shell is replaced, so that the app itself is what is killed.
    "out-of-memory": "exec head -c 500000000 /dev/zero | tail -c 500000000; exit 137",
    greedy: "dd if=/dev/zero of=/iexec_out/big bs=1M count=64; while true; do sleep 1; done",
  };
  sandboxConformance({ describe, test, expect }, async () => {
    const world = dockerWorld();
    return {
      id: world.id,
      open: () => world.open(),
      app: (app) => ({ image, args: ["/bin/sh", "-c", scripts[app]] }),
      missingImage: `${registry.address}/apps/missing:1`,
      addForeign: (name) => world.addForeign(name, local),
      outputFolder: () => world.outputFolder(),
      close: () => world.close(),
    };
  });
});
