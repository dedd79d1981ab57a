import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { startRegistry } from "@iexec-ts/testkit";
import Docker from "dockerode";
import { expect, test } from "vitest";
import { buildDemoImage, DEMO_SCENE } from "./demo-image.ts";

const docker = new Docker();
const main = fileURLToPath(new URL("../../demo-app/main.ts", import.meta.url));
const args = ["--width", "16", "--height", "10", "--samples", "2", "--seed", "3"];

test("the image renders the same bytes as the program on this machine, with no network and no rights", async () => {
  const folder = await mkdtemp(join(tmpdir(), "iexec-demo-image-"));
  const registry = await startRegistry();
  try {
    const image = await buildDemoImage({ docker, registry, publicBase: false });
    expect(image.checksum).toMatch(/^0x[0-9a-f]{64}$/);
    const input = { IEXEC_IN: dirname(DEMO_SCENE), IEXEC_DATASET_FILENAME: "marbles.json" };
    await promisify(execFile)(process.execPath, [main, ...args], { env: { ...input, IEXEC_OUT: folder } });

    const container = await docker.createContainer({
      Image: image.reference,
      Cmd: args,
      Env: ["IEXEC_DATASET_FILENAME=marbles.json"],
      HostConfig: {
        NetworkMode: "none",
        CapDrop: ["ALL"],
        Binds: [`${dirname(DEMO_SCENE)}:/iexec_in:ro`, `${join(folder, "container")}:/iexec_out`],
      },
    });
    try {
      await container.start();
      const { StatusCode } = await container.wait();
      expect(StatusCode, String(await container.logs({ stdout: true, stderr: true }))).toBe(0);
    } finally {
      await container.remove({ force: true });
      await docker.getImage(image.reference).remove({ force: true });
    }
    expect(await readFile(join(folder, "container", "result.png"))).toEqual(await readFile(join(folder, "result.png")));
    const computed: unknown = JSON.parse(await readFile(join(folder, "container", "computed.json"), "utf8"));
    expect(computed).toEqual({ "deterministic-output-path": "/iexec_out/result.png" });
  } finally {
    await registry.stop();
    await rm(folder, { recursive: true, force: true });
  }
}, 180_000);
