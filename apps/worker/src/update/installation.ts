import { existsSync, readFileSync, realpathSync } from "node:fs";
import { mkdir, readdir, readlink, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { CodedError, placeFolder, replaceFile, replaceLink } from "@iexec-ts/service";
import { z } from "zod";
import { compareVersions, PROGRAM_FILE } from "./release.ts";

const originSchema = z.object({ url: z.url(), publicKey: z.string().max(1_000) });
const memorySchema = z.object({
  /** Highest version that was ever offered with a good signature. */
  highest: z.string().default("0.0.0"),
  /** Versions that were tried and rolled back. */
  broken: z.array(z.string()).default([]),
  /** Under way: the version to go back to if this process dies before the new one is known to be well. */
  from: z.string().optional(),
});
type Memory = z.output<typeof memorySchema>;

/**
 * A worker with its versions side by side:
 *
 * - `versions/X.Y.Z/` - the files of one release
 * - `current` - a link to the version in use
 * - `release.json` - where releases come from and whose signature counts
 * - `update.json` - what earlier updates learnt
 */
export class Installation {
  readonly root: string;
  readonly version: string;
  readonly origin: { readonly url: string; readonly publicKey: string };

  private constructor(root: string, version: string, origin: { readonly url: string; readonly publicKey: string }) {
    this.root = root;
    this.version = version;
    this.origin = origin;
  }

  /** The one that holds this program. Errors: WRK-1701. */
  static of(program: string): Installation {
    const real = existsSync(program) ? realpathSync(program) : program;
    const folder = dirname(real);
    const root = dirname(dirname(folder));
    const path = join(root, "release.json");
    if (basename(dirname(folder)) !== "versions" || !existsSync(path)) throw new CodedError("WRK-1701", { program: real });
    const origin = originSchema.safeParse(readJson(path));
    if (!origin.success) throw new CodedError("WRK-1701", { program: real });
    return new Installation(root, basename(folder), origin.data);
  }

  folderOf(version: string): string {
    return join(this.root, "versions", version);
  }

  programOf(version: string): string {
    return join(this.folderOf(version), PROGRAM_FILE);
  }

  /** The program through the link, so that what is started follows it. */
  get currentProgram(): string {
    return join(this.root, "current", PROGRAM_FILE);
  }

  async currentVersion(): Promise<string> {
    return basename(await readlink(join(this.root, "current")));
  }

  /** SIDE EFFECTS: an empty folder, to be moved to its place when all files are in it. */
  async stage(version: string): Promise<string> {
    const path = join(this.root, "versions", `.new-${version}`);
    await rm(path, { recursive: true, force: true });
    await mkdir(path, { recursive: true });
    return path;
  }

  async keep(staged: string, version: string): Promise<void> {
    await placeFolder(staged, this.folderOf(version));
  }

  /** SIDE EFFECTS: `current` names this version, at no moment none. */
  async switchTo(version: string): Promise<void> {
    await replaceLink(join(this.root, "current"), join("versions", version));
  }

  get memory(): Memory {
    const known = memorySchema.safeParse(readJson(join(this.root, "update.json")) ?? {});
    return known.success ? known.data : { highest: this.version, broken: [] };
  }

  /** SIDE EFFECTS: on the disk before this returns. */
  async remember(changes: Partial<Memory> | { readonly from: undefined }): Promise<void> {
    const path = join(this.root, "update.json");
    await replaceFile(path, `${JSON.stringify({ ...this.memory, ...changes }, null, 2)}\n`, { mode: 0o644 });
  }

  /** SIDE EFFECTS: removes all versions but these. */
  async prune(keep: readonly string[]): Promise<readonly string[]> {
    const folder = join(this.root, "versions");
    const old = (await readdir(folder)).filter((name) => !keep.includes(name));
    for (const name of old) await rm(join(folder, name), { recursive: true, force: true });
    return old.filter((name) => !name.startsWith(".")).sort(compareVersions);
  }
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch {
    // Missing or cut off: said by the schemas.
    return undefined;
  }
}
