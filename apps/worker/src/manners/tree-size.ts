import type { Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

const MAX_ENTRIES = 200_000;

/** Bytes below a path, links not followed; stops counting at a bound, since apps fill these folders. */
export async function sizeOf(path: string, left = { entries: MAX_ENTRIES }): Promise<number> {
  let sum = 0;
  let children: Dirent[];
  try {
    const { size } = await lstat(path);
    sum += size;
    children = await readdir(path, { withFileTypes: true });
  } catch {
    // A file, gone meanwhile, or not readable for this user: it counts with what is known.
    return sum;
  }
  for (const child of children) {
    if (left.entries <= 0) break;
    left.entries -= 1;
    const inside = join(path, child.name);
    sum += child.isDirectory()
      ? await sizeOf(inside, left)
      : await lstat(inside).then(
          ({ size }) => size,
          () => 0,
        );
  }
  return sum;
}
