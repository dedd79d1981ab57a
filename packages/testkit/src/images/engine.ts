import { CodedError } from "@iexec-ts/service";
import type Docker from "dockerode";
import { z } from "zod";
import { type ImageFiles, tarStream } from "./tar-file.ts";

/** Longest time between two words of the engine about one image. */
const SILENCE_MS = 180_000;
const progressLine = z.looseObject({
  error: z.string().optional(),
  aux: z.looseObject({ Digest: z.string().optional(), ID: z.string().optional() }).optional(),
});
type ProgressLine = z.infer<typeof progressLine>;

/**
 * Runs a call of the engine that reports progress, to its end.
 *
 * Errors: NET-1202, also for an error inside the progress of an otherwise successful answer.
 */
export async function dockerProgress(
  action: string,
  image: string,
  docker: Docker,
  call: () => Promise<NodeJS.ReadableStream>,
): Promise<readonly ProgressLine[]> {
  try {
    const stream = await call();
    const lines = await new Promise<unknown[]>((resolve, reject) => {
      const silent = setTimeout(() => reject(new Error(`the engine was silent for ${SILENCE_MS / 1000} s`)), SILENCE_MS);
      docker.modem.followProgress(
        stream,
        (error: Error | null, output: unknown[]) => {
          clearTimeout(silent);
          return error === null ? resolve(output) : reject(error);
        },
        () => silent.refresh(),
      );
    });
    const parsed = lines.flatMap((line): ProgressLine[] => {
      const result = progressLine.safeParse(line);
      return result.success ? [result.data] : [];
    });
    const failed = parsed.find((line) => line.error !== undefined);
    if (failed !== undefined) throw new CodedError("NET-1202", { action, image, reason: failed.error });
    return parsed;
  } catch (error) {
    if (error instanceof CodedError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new CodedError("NET-1202", { action, image, reason }, { cause: error });
  }
}

/**
 * Pushes a tagged image to the registry its name says.
 *
 * Errors: NET-1202.
 * SIDE EFFECTS: uploads the layers the registry does not have.
 * @returns digest of the manifest, sha256:..., what an app's checksum names
 */
export async function pushImage(docker: Docker, reference: string): Promise<{ readonly digest: string }> {
  const { repo, tag } = splitTag(reference);
  // The engine wants this header even for a registry without passwords.
  const lines = await dockerProgress("push", reference, docker, () => docker.getImage(repo).push({ tag, authconfig: {} }));
  const digest = lines.find((line) => line.aux?.Digest !== undefined)?.aux?.Digest;
  if (digest === undefined) throw new CodedError("NET-1202", { action: "push", image: reference, reason: "no digest in the answer" });
  return { digest };
}

/**
 * Builds an image from a Dockerfile that is among `files`.
 *
 * Errors: NET-1202.
 * SIDE EFFECTS: builds and tags an image; the engine may pull its base.
 */
export async function buildImage(docker: Docker, reference: string, files: ImageFiles): Promise<void> {
  await dockerProgress("build", reference, docker, () => docker.buildImage(tarStream(files), { t: reference }));
}

/**
 * Whether the engine has an image, or can pull it before `timeoutMs` has passed.
 *
 * SIDE EFFECTS: may pull.
 */
export async function canPull(docker: Docker, reference: string, timeoutMs: number): Promise<boolean> {
  const signal = AbortSignal.timeout(timeoutMs);
  try {
    await dockerProgress("pull", reference, docker, () => docker.pull(reference, { abortSignal: signal }));
    return true;
  } catch {
    // Any reason means the same to the caller: work without it.
    return false;
  }
}

/** "host:port/name:tag" -> name and tag; without a tag, "latest". */
export function splitTag(reference: string): { readonly repo: string; readonly tag: string } {
  const colon = reference.lastIndexOf(":");
  if (colon <= reference.lastIndexOf("/")) return { repo: reference, tag: "latest" };
  return { repo: reference.slice(0, colon), tag: reference.slice(colon + 1) };
}
