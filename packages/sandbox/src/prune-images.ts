import { z } from "zod";
import type { Engine } from "./engine.ts";
import { imageSchema } from "./engine-schemas.ts";
import type { ImageUses } from "./image-uses.ts";

export interface PruneRequest {
  /** Bytes that the images pulled by this worker may take together; layers they share count each time. */
  readonly budgetBytes: number;
  /** Ids or references that stay. */
  readonly keep: ReadonlySet<string>;
}

const usesSchema = z.array(z.object({ ImageID: z.string() }));

/**
 * Removes the least recently used images until the rest fits the budget. Touches only images that this worker pulled; those of any
 * container, or to keep, stay. Returns the ids of what was removed.
 *
 * Errors: SBX-1001, SBX-1002.
 * SIDE EFFECTS: removes images from the engine.
 */
export async function pruneImages(
  engine: Engine,
  uses: ImageUses,
  { budgetBytes, keep }: PruneRequest,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const containers = await engine.json({ method: "GET", path: "/containers/json", query: { all: true } }, usesSchema, {
    what: "list containers",
    signal,
  });
  const busy = new Set(containers.map((container) => container.ImageID));
  const images: { id: string; at: Date; bytes: number; names: readonly string[]; kept: boolean }[] = [];
  for (const [id, at] of await uses.all()) {
    const found = await engine.json({ method: "GET", path: `/images/${encodeURIComponent(id)}/json` }, imageSchema, {
      what: "look at an image",
      signal,
      on: { 404: () => undefined },
    });
    if (found === undefined) {
      await uses.forget(id);
      continue;
    }
    const names = [...found.RepoTags, ...found.RepoDigests];
    const kept = busy.has(id) || keep.has(id) || names.some((name) => keep.has(name));
    images.push({ id, at, bytes: found.Size, names: found.RepoTags, kept });
  }
  images.sort((one, other) => one.at.getTime() - other.at.getTime());

  let total = images.reduce((sum, image) => sum + image.bytes, 0);
  const removed: string[] = [];
  for (const image of images) {
    if (total <= budgetBytes) break;
    if (image.kept || !(await removeImage(engine, image.id, image.names, signal))) continue;
    await uses.forget(image.id);
    total -= image.bytes;
    removed.push(image.id);
  }
  return removed;
}

/** By each of its names: an image with several cannot be removed by its id. False if the engine still needs it. */
async function removeImage(engine: Engine, id: string, names: readonly string[], signal?: AbortSignal): Promise<boolean> {
  for (const name of names.length > 0 ? names : [id]) {
    const refused = await engine.send(
      { method: "DELETE", path: `/images/${name}` },
      { what: "remove an image", signal, on: { 404: () => false, 409: () => true } },
    );
    if (refused === true) return false;
  }
  return true;
}
