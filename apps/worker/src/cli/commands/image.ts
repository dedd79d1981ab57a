import { join } from "node:path";
import { createDockerSandbox, type DockerSandbox, fileImageUses, type ImageUses } from "@iexec-ts/sandbox";
import { CodedError } from "@iexec-ts/service";
import { ownContainerId } from "../../container-check.ts";
import { type Context, type Input, switchOption, textOption } from "../context.ts";
import type { Report } from "../report.ts";
import { bytes, parseBytes } from "../view/bytes.ts";
import { table } from "../view/table.ts";
import { exact, relative } from "../view/time.ts";

interface KnownImage {
  readonly id: string;
  readonly usedAt: Date;
  readonly names: readonly string[];
  readonly bytes: number;
}

/** SIDE EFFECTS: asks the Docker Engine. */
export async function withSandbox<T>(
  context: Pick<Context, "settings" | "clock">,
  work: (sandbox: DockerSandbox, uses: ImageUses) => Promise<T>,
): Promise<T> {
  const { dockerSocket, stateDir } = context.settings;
  const uses = fileImageUses(join(stateDir, "images.json"));
  const engine = dockerSocket.startsWith("/") ? { socketPath: dockerSocket } : { host: dockerSocket };
  const ownContainer = ownContainerId();
  const inside = ownContainer === undefined ? {} : { ownContainer };
  const sandbox = createDockerSandbox(
    { ...engine, ...inside, runtime: context.settings.runtime },
    { clock: context.clock, imageUses: uses },
  );
  try {
    return await work(sandbox, uses);
  } finally {
    await sandbox.close();
  }
}

/** Those that are still there, least recently used first. */
export async function knownImages(sandbox: DockerSandbox, uses: ImageUses): Promise<readonly KnownImage[]> {
  const images: KnownImage[] = [];
  for (const [id, usedAt] of await uses.all()) {
    const found = await sandbox.findImage(id);
    if (found !== undefined) images.push({ id, usedAt, names: found.digests, bytes: found.bytes });
  }
  return images.sort((one, other) => one.usedAt.getTime() - other.usedAt.getTime());
}

const plain = (image: KnownImage) => ({ id: image.id, names: [...image.names], bytes: image.bytes, usedAt: exact(image.usedAt) });
const nameOf = ({ id, names }: KnownImage): string => names[0]?.replace(/@sha256:([0-9a-f]{12}).*/, "@$1") ?? id;

/** Errors: SBX-1001. */
export async function imageList(context: Context): Promise<Report> {
  const images = await withSandbox(context, knownImages);
  const now = context.clock.now();
  const sum = images.reduce((all, image) => all + image.bytes, 0);
  return {
    data: { bytes: sum, images: images.map(plain) },
    text: (style) =>
      images.length === 0
        ? style.plain
          ? ""
          : "This worker has pulled no image; images of others are not listed."
        : [
            table(
              [
                { title: "IMAGE", value: nameOf },
                { title: "SIZE", value: (image) => bytes(image.bytes), align: "right" },
                { title: "LAST USED", value: ({ usedAt }) => (style.plain ? exact(usedAt) : relative(usedAt, now)) },
              ],
              [...images].reverse(),
              style,
            ),
            ...(style.plain ? [] : ["", `${images.length} images, ${bytes(sum)}; shared layers count each time`]),
          ].join("\n"),
    next: ["iexec-worker image prune --dry-run"],
  };
}

/** Errors: SBX-1001, WRK-2002, WRK-2004, WRK-2012. SIDE EFFECTS: removes images this worker pulled. */
export async function imagePrune(context: Context, input: Input): Promise<Report> {
  const budget = textOption(input, "budget");
  const budgetBytes = budget === undefined ? 0 : parseBytes(budget, "--budget");
  return withSandbox(context, async (sandbox, uses) => {
    const images = await knownImages(sandbox, uses);
    let total = images.reduce((all, image) => all + image.bytes, 0);
    const chosen = images.filter((image) => {
      if (total <= budgetBytes) return false;
      total -= image.bytes;
      return true;
    });
    const size = chosen.reduce((all, image) => all + image.bytes, 0);
    if (switchOption(input, "dryRun") || chosen.length === 0)
      return {
        data: { dryRun: true, removed: [], wouldRemove: chosen.map(plain), bytes: size },
        text: (style) =>
          [
            `${style.mark("note")} would remove ${chosen.length} images (${bytes(size)}), except those a container uses; nothing was removed`,
            ...chosen.map((image) => `   ${nameOf(image)}  ${bytes(image.bytes)}`),
          ].join("\n"),
        next: ["iexec-worker image prune"],
      };
    if (!switchOption(input, "yes")) {
      const typed = await context.prompt.ask(`Remove ${chosen.length} images (${bytes(size)})? Type yes:`, "--yes");
      if (typed !== "yes") throw new CodedError("WRK-2004", { what: "yes was not typed" });
    }
    const removed = await sandbox.pruneImages({ budgetBytes, keep: new Set() }, context.signal);
    const freed = chosen.filter(({ id }) => removed.includes(id)).reduce((all, image) => all + image.bytes, 0);
    return {
      data: { dryRun: false, removed: [...removed], bytes: freed },
      text: (style) => `${style.mark("ok")} removed ${removed.length} images, up to ${bytes(freed)} freed`,
      next: ["iexec-worker disk"],
    };
  });
}
