import { createHash, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Docker from "dockerode";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { assembleBusyboxImage, buildImage, canPull, type ImageEntry, type ImageRegistry, pushImage, startRegistry } from "../index.ts";
import { findProgram } from "./programs.ts";

const docker = new Docker();
const digestOf = (text: string) => `sha256:${createHash("sha256").update(text).digest("hex")}`;

const implementations: ("program" | "built-in")[] =
  (await findProgram("docker-registry")) === undefined ? ["built-in"] : ["program", "built-in"];

describe.each(implementations)("the %s registry", (implementation) => {
  let registry: ImageRegistry;
  beforeAll(async () => {
    registry = await startRegistry({ implementation });
  });
  afterAll(() => registry.stop());

  test("takes an image from the engine and gives it back", async () => {
    const tag = `${registry.host}/test/${randomUUID()}:1`;
    const image = await assembleBusyboxImage(docker, { tag, entrypoint: ["/bin/sh", "-c"], command: ["echo hello from $0; exit 7"] });
    try {
      const { digest } = await pushImage(docker, tag);
      await docker.getImage(tag).remove({ force: true });
      expect(await canPull(docker, tag, 60_000)).toBe(true);
      expect((await docker.getImage(tag).inspect()).Id).toBe(image.id);

      const name = tag.slice(registry.host.length + 1, -2);
      const manifest = await fetch(`${registry.url}/v2/${name}/manifests/${digest}`, {
        headers: { accept: "application/vnd.docker.distribution.manifest.v2+json" },
      });
      expect(digestOf(await manifest.text())).toBe(digest);
      const tags = await fetch(`${registry.url}/v2/${name}/tags/list`);
      expect(await tags.json()).toEqual({ name, tags: ["1"] });

      const container = await docker.createContainer({ Image: tag });
      try {
        await container.start();
        expect(await container.wait()).toMatchObject({ StatusCode: 7 });
      } finally {
        await container.remove({ force: true });
      }
    } finally {
      await docker.getImage(tag).remove({ force: true });
    }
  });

  test("says 404 for what it does not have", async () => {
    for (const path of ["nothing/manifests/1", `nothing/blobs/${digestOf("x")}`]) {
      expect((await fetch(`${registry.url}/v2/${path}`)).status).toBe(404);
    }
    expect(await canPull(docker, `${registry.host}/nothing:1`, 30_000)).toBe(false);
  });

  test("refuses a blob whose digest is not what was said", async () => {
    const opened = await fetch(`${registry.url}/v2/test/blobs/uploads/`, { method: "POST" });
    expect(opened.status).toBe(202);
    const location = new URL(opened.headers.get("location") ?? "", registry.url);
    location.searchParams.set("digest", digestOf("something else"));
    const refused = await fetch(location, { method: "PUT", body: "these bytes", headers: { "content-type": "application/octet-stream" } });
    expect(refused.status).toBe(400);
  });
});

test("keeps its images in a folder between runs", async () => {
  const dir = await mkdtemp(join(tmpdir(), "iexec-registry-kept-"));
  try {
    const first = await startRegistry({ dir, implementation: "built-in" });
    const content = "kept";
    const digest = digestOf(content);
    await fetch(`${first.url}/v2/test/blobs/uploads/?digest=${digest}`, { method: "POST", body: content });
    await first.stop();
    const second = await startRegistry({ dir, implementation: "built-in" });
    expect(await (await fetch(`${second.url}/v2/test/blobs/${digest}`)).text()).toBe(content);
    await second.stop();
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test("builds from a Dockerfile; one that cannot be built is NET-1202", async () => {
  const reference = `iexec-ts-test/${randomUUID()}:1`;
  const files = (dockerfile: string) =>
    new Map<string, ImageEntry>([
      ["/Dockerfile", { kind: "text", content: dockerfile }],
      ["/x", { kind: "text", content: "x" }],
    ]);
  await buildImage(docker, reference, files("FROM scratch\nCOPY x /x\n"));
  await docker.getImage(reference).remove({ force: true });
  await expect(buildImage(docker, reference, files("FROM scratch\nCOPY y /y\n"))).rejects.toMatchObject({ code: "NET-1202" });
});

test("a taken port is NET-1001", async () => {
  const first = await startRegistry({ implementation: "built-in" });
  const port = Number(new URL(first.url).port);
  await expect(startRegistry({ implementation: "built-in", port })).rejects.toMatchObject({ code: "NET-1001" });
  await first.stop();
});
