import { mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { replaceFile } from "@iexec-ts/service";
import { z } from "zod";

/** Which images this worker pulled, and when each was last used. Only these may ever be pruned. */
export interface ImageUses {
  /** SIDE EFFECTS: remembers the use durably if the store is durable. */
  touch(imageId: string, at: Date): Promise<void>;
  forget(imageId: string): Promise<void>;
  all(): Promise<ReadonlyMap<string, Date>>;
}

/** Forgets everything with the process: images of an earlier run are then never pruned. */
export function memoryImageUses(): ImageUses {
  const uses = new Map<string, Date>();
  return {
    touch: async (imageId, at) => void uses.set(imageId, at),
    forget: async (imageId) => void uses.delete(imageId),
    all: async () => new Map(uses),
  };
}

const fileSchema = z.record(z.string(), z.iso.datetime());

/**
 * Keeps the uses in one JSON file, replaced atomically.
 *
 * A file that is missing or damaged counts as empty: the worst outcome is an image that is kept too long.
 */
export function fileImageUses(path: string): ImageUses {
  let queue: Promise<unknown> = Promise.resolve();
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const next = queue.then(work, work);
    queue = next.catch(() => undefined);
    return next;
  };

  const read = async (): Promise<Map<string, Date>> => {
    const text = await readFile(path, "utf8").catch(() => "{}");
    try {
      const parsed = fileSchema.safeParse(JSON.parse(text));
      return new Map(Object.entries(parsed.data ?? {}).map(([id, at]) => [id, new Date(at)]));
    } catch {
      return new Map();
    }
  };
  const write = async (uses: ReadonlyMap<string, Date>): Promise<void> => {
    await mkdir(dirname(path), { recursive: true });
    await replaceFile(path, JSON.stringify(Object.fromEntries([...uses].map(([id, at]) => [id, at.toISOString()]))));
  };
  const change = (edit: (uses: Map<string, Date>) => void) =>
    inTurn(async () => {
      const uses = await read();
      edit(uses);
      await write(uses);
    });

  return {
    touch: (imageId, at) => change((uses) => void uses.set(imageId, at)),
    forget: (imageId) => change((uses) => void uses.delete(imageId)),
    all: () => inTurn(read),
  };
}
