import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pack } from "tar-stream";

/** An empty image for the s390x processor, as `docker save` would write it. */
export function foreignArchive(name: string): Readable {
  const layer = Buffer.alloc(1024);
  const diffId = createHash("sha256").update(layer).digest("hex");
  const config = JSON.stringify({
    architecture: "s390x",
    os: "linux",
    config: { Cmd: ["/bin/true"] },
    rootfs: { type: "layers", diff_ids: [`sha256:${diffId}`] },
    history: [{ created: "2020-01-01T00:00:00Z" }],
  });
  const configName = `${createHash("sha256").update(config).digest("hex")}.json`;
  const tar = pack();
  tar.entry({ name: configName }, config);
  tar.entry({ name: `${diffId}/layer.tar` }, layer);
  tar.entry({ name: "manifest.json" }, JSON.stringify([{ Config: configName, RepoTags: [name], Layers: [`${diffId}/layer.tar`] }]));
  tar.finalize();
  return Readable.from(tar);
}
