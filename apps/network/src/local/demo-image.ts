import { readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Bytes32 } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { assembleNodeImage, buildImage, canPull, type ImageEntry, type ImageRegistry, pushImage } from "@iexec-ts/testkit";
import type Docker from "dockerode";

export interface DemoImage {
  /** What the app's record on chain names: host:port/name:tag. */
  readonly reference: string;
  /** Digest of the manifest in the registry, for the app's checksum. */
  readonly checksum: Bytes32;
}

export interface DemoImageOptions {
  readonly docker: Docker;
  readonly registry: Pick<ImageRegistry, "host">;
  /** Build on Docker Hub's Node image when it can be pulled. Default: the environment's IEXEC_DEMO_PUBLIC_BASE=1. */
  readonly publicBase?: boolean;
}

const SOURCE = fileURLToPath(new URL("../../demo-app/", import.meta.url));
const PUBLIC_BASE = "node:24-slim";
const PULL_TIMEOUT_MS = 60_000;
const NAME = "iexec-ts/demo-renderer:1";

/** The scene that the demo renders, on disk. */
export const DEMO_SCENE = fileURLToPath(new URL("../../demo-app/scenes/marbles.json", import.meta.url));

/**
 * The demo's renderer as an image in the given registry. By default it is put together from this process's own Node: no network, and the
 * same image on every run.
 *
 * Errors: NET-1201, NET-1202, NET-1204 (see the testkit).
 * SIDE EFFECTS: loads an image into the engine and pushes it; removes it again when that fails.
 */
export async function buildDemoImage(options: DemoImageOptions, signal?: AbortSignal): Promise<DemoImage> {
  const { docker, registry } = options;
  const reference = `${registry.host}/${NAME}`;
  try {
    await assemble(docker, reference, options.publicBase ?? process.env.IEXEC_DEMO_PUBLIC_BASE === "1", signal);
    const { digest } = await pushImage(docker, reference);
    return { reference, checksum: checksumOf(digest) };
  } catch (thrown) {
    // Why the image is of no use is worth more than why it is still there.
    await docker
      .getImage(reference)
      .remove({ force: true })
      .catch(() => undefined);
    throw thrown;
  }
}

async function assemble(docker: Docker, reference: string, publicBase: boolean, signal?: AbortSignal): Promise<void> {
  if (publicBase && (await canPull(docker, PUBLIC_BASE, PULL_TIMEOUT_MS))) {
    await buildImage(docker, reference, await sources("/", "Dockerfile"));
  } else {
    const files = await sources("/app/");
    const labels = { "org.opencontainers.image.title": "iexec-ts demo renderer" };
    await assembleNodeImage(docker, { tag: reference, files, entrypoint: ["node", "/app/main.ts"], labels }, signal);
  }
}

async function sources(folder: string, ...extra: readonly string[]): Promise<ReadonlyMap<string, ImageEntry>> {
  const names = (await readdir(SOURCE)).filter((name) => name.endsWith(".ts") || name === "package.json" || extra.includes(name));
  return new Map(names.map((name): [string, ImageEntry] => [`${folder}${name}`, { kind: "copy", from: `${SOURCE}${name}`, mode: 0o644 }]));
}

function checksumOf(digest: string): Bytes32 {
  const hex = /^sha256:([0-9a-f]{64})$/.exec(digest)?.[1];
  if (hex === undefined) throw new CodedError("NET-1202", { action: "push", image: NAME, reason: `odd digest ${digest}` });
  return `0x${hex}`;
}
