import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { CodedError } from "@iexec-ts/service";
import type Docker from "dockerode";
import { dockerProgress, splitTag } from "./engine.ts";
import { findProgram, librariesOf } from "./programs.ts";
import { type ImageEntry, type ImageFiles, writeTar } from "./tar-file.ts";

const run = promisify(execFile);

export interface ImageSpec {
  /** name:tag, with the registry's host when it is to be pushed. */
  readonly tag: string;
  readonly files?: ImageFiles;
  /** None: what the container is given as arguments is the program. */
  readonly entrypoint?: readonly string[];
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly workingDir?: string;
  /** More of the image's configuration, by the engine's names: User, Volumes, Healthcheck, OnBuild. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** For images that are not for this machine. */
  readonly architecture?: string;
}

export interface AssembledImage {
  readonly tag: string;
  /** sha256:... of the image's configuration: equal contents, equal id, on any machine with the same programs. */
  readonly id: string;
}

/**
 * An image with this process's own Node and the given files, without any base image or network.
 *
 * Errors: NET-1201 library missing, NET-1202 the engine refused, NET-1204 not Linux.
 * SIDE EFFECTS: loads and tags an image, unless the engine already has the same one.
 */
export async function assembleNodeImage(docker: Docker, spec: ImageSpec, signal?: AbortSignal): Promise<AssembledImage> {
  const node = await realpath(process.execPath);
  const base = new Map<string, ImageEntry>([
    ["/usr/local/bin/node", { kind: "copy", from: node, mode: 0o755 }],
    ...(await librariesOf(node)),
    ...EMPTY_FOLDERS,
  ]);
  return assemble(docker, [base, spec.files ?? new Map()], spec, signal);
}

/**
 * An image with a shell and the usual small tools, without any base image or network. For test apps, also hostile ones.
 *
 * Errors: NET-1203 no busybox on this machine, NET-1201, NET-1202, NET-1204.
 * SIDE EFFECTS: loads and tags an image, unless the engine already has the same one.
 */
export async function assembleBusyboxImage(docker: Docker, spec: ImageSpec, signal?: AbortSignal): Promise<AssembledImage> {
  const found = await findProgram("busybox");
  if (found === undefined) throw new CodedError("NET-1203", { program: "busybox" });
  const busybox = await realpath(found);
  const applets = (await run(busybox, ["--list"])).stdout.split("\n").filter((name) => name !== "" && name !== "busybox");
  const base = new Map<string, ImageEntry>([
    ["/bin/busybox", { kind: "copy", from: busybox, mode: 0o755 }],
    ...applets.map((name): [string, ImageEntry] => [`/bin/${name}`, { kind: "link", to: "/bin/busybox" }]),
    ...(await librariesOf(busybox)),
    ...EMPTY_FOLDERS,
  ]);
  return assemble(docker, [base, spec.files ?? new Map()], spec, signal);
}

const EMPTY_FOLDERS: readonly (readonly [string, ImageEntry])[] = [
  ["/tmp", { kind: "folder", mode: 0o1777 }],
  ["/etc", { kind: "folder" }],
];
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64", arm: "arm", ia32: "386" };

async function assemble(docker: Docker, layers: readonly ImageFiles[], spec: ImageSpec, signal?: AbortSignal): Promise<AssembledImage> {
  const work = await mkdtemp(join(tmpdir(), "iexec-image-"));
  try {
    const written: { readonly file: string; readonly sha256: string }[] = [];
    for (const [index, files] of layers.entries()) {
      if (files.size === 0) continue;
      const file = join(work, `layer-${index}.tar`);
      written.push({ file, sha256: (await writeTar(file, files, signal)).sha256 });
    }
    const config = imageConfig(
      spec,
      written.map((layer) => `sha256:${layer.sha256}`),
    );
    const configHash = createHash("sha256").update(config).digest("hex");
    const id = `sha256:${configHash}`;
    if (!(await tagImage(docker, id, spec.tag))) {
      const archive = join(work, "image.tar");
      await writeTar(archive, archiveFiles(spec.tag, config, configHash, written), signal);
      await dockerProgress("load", spec.tag, docker, () =>
        docker.loadImage(createReadStream(archive, signal === undefined ? {} : { signal }), { quiet: true }),
      );
    }
    return { tag: spec.tag, id };
  } catch (error) {
    if (error instanceof CodedError || signal?.aborted === true) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CodedError("NET-1202", { action: "load", image: spec.tag, reason }, { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function imageConfig(spec: ImageSpec, diffIds: readonly string[]): string {
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin", ...spec.env };
  return JSON.stringify({
    architecture: spec.architecture ?? ARCHITECTURES[process.arch] ?? process.arch,
    os: "linux",
    created: "1970-01-01T00:00:00Z",
    config: {
      Env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
      ...(spec.entrypoint === undefined ? {} : { Entrypoint: spec.entrypoint }),
      ...(spec.command === undefined ? {} : { Cmd: spec.command }),
      ...(spec.workingDir === undefined ? {} : { WorkingDir: spec.workingDir }),
      Labels: spec.labels ?? {},
      ...spec.config,
    },
    rootfs: { type: "layers", diff_ids: diffIds },
    history: diffIds.map(() => ({ created: "1970-01-01T00:00:00Z", created_by: "iexec-ts" })),
  });
}

/** The archive format of `docker load`. @source envlab.md 3 (f) */
function archiveFiles(tag: string, config: string, configHash: string, layers: readonly { file: string; sha256: string }[]): ImageFiles {
  const layerPath = (sha256: string) => `${sha256}/layer.tar`;
  const manifest = [{ Config: `${configHash}.json`, RepoTags: [tag], Layers: layers.map((layer) => layerPath(layer.sha256)) }];
  return new Map<string, ImageEntry>([
    [`/${configHash}.json`, { kind: "text", content: config }],
    ["/manifest.json", { kind: "text", content: JSON.stringify(manifest) }],
    ...layers.map((layer): [string, ImageEntry] => [`/${layerPath(layer.sha256)}`, { kind: "copy", from: layer.file, mode: 0o644 }]),
  ]);
}

/** Tags an image the engine has; false when it has none of this id, which may change at any moment while others share the engine. */
async function tagImage(docker: Docker, id: string, tag: string): Promise<boolean> {
  try {
    await docker.getImage(id).tag(splitTag(tag));
    return true;
  } catch (thrown) {
    if (thrown instanceof Error && "statusCode" in thrown && thrown.statusCode === 404) return false;
    throw thrown;
  }
}
