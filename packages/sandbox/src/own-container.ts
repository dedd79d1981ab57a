import { z } from "zod";
import type { Engine } from "./engine.ts";

const mountSchema = z.object({
  Type: z.string(),
  Name: z.string().default(""),
  Source: z.string().default(""),
  Destination: z.string(),
});
const ownSchema = z.object({
  Image: z.string(),
  Mounts: z
    .array(mountSchema)
    .nullish()
    .transform((mounts) => mounts ?? []),
});

/** A folder or file of the host inside a container. */
export interface ContainerMount {
  /** `bind` or `volume`. */
  readonly type: string;
  /** Of a volume; 64 hexadecimal digits when nobody named it. */
  readonly name: string;
  /** On the host. */
  readonly source: string;
  /** In the container. */
  readonly destination: string;
}

/** What an engine knows of a container; undefined when it is not one of its own. Errors: SBX-1001 to SBX-1004. */
export async function describeContainer(
  engine: Engine,
  id: string,
  signal?: AbortSignal,
): Promise<{ readonly imageId: string; readonly mounts: readonly ContainerMount[] } | undefined> {
  const found = await engine.json({ method: "GET", path: `/containers/${id}/json` }, ownSchema, {
    what: "look at the worker's own container",
    signal,
    on: { 404: () => undefined },
  });
  if (found === undefined) return undefined;
  return {
    imageId: found.Image,
    mounts: found.Mounts.map(({ Type, Name, Source, Destination }) => ({
      type: Type,
      name: Name,
      source: Source,
      destination: Destination,
    })),
  };
}
