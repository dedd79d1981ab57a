import { open, readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { CodedError, hasCode } from "@iexec-ts/service";
import { pack } from "tar-stream";
import { z } from "zod";
import type { PulledImage } from "./api.ts";
import type { Engine } from "./engine.ts";

/** Where a static busybox is on the usual systems. */
const BUSYBOX = ["/bin/busybox", "/usr/bin/busybox", "/usr/local/bin/busybox"];
const REPOSITORY = "iexec-ts-probe";
const LABEL = "iexec.probe";
const PULL_MS = 60_000;
const INTERPRETER = 3;

const imageIds = z.array(z.object({ Id: z.string() }));

/** Whether a program runs without any library: an ELF file without an interpreter. */
export async function isStatic(path: string): Promise<boolean> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return false;
  try {
    const header = Buffer.alloc(64);
    await file.read(header, 0, 64, 0);
    if (header.readUInt32BE(0) !== 0x7f454c46 || header[4] !== 2) return false;
    const [at, size, count] = [Number(header.readBigUInt64LE(32)), header.readUInt16LE(54), header.readUInt16LE(56)];
    const table = Buffer.alloc(size * count);
    await file.read(table, 0, table.length, at);
    for (let entry = 0; entry < count; entry++) if (table.readUInt32LE(entry * size) === INTERPRETER) return false;
    return true;
  } finally {
    await file.close();
  }
}

/** A root file system of one static busybox and links to it. */
export function busyboxTar(busybox: Buffer, applets: readonly string[], more: (tar: ReturnType<typeof pack>) => void = () => undefined) {
  const tar = pack();
  for (const name of ["bin/", "run/", "etc/"]) tar.entry({ name, type: "directory", mode: 0o755 });
  for (const name of ["tmp/", "var/tmp/"]) tar.entry({ name, type: "directory", mode: 0o1777 });
  tar.entry({ name: "bin/busybox", mode: 0o755 }, busybox);
  for (const applet of applets) tar.entry({ name: `bin/${applet}`, type: "symlink", linkname: "busybox" });
  more(tar);
  tar.finalize();
  return tar;
}

/**
 * An image with `sh`, `nc` and the like for the probe: made from this host's busybox, else pulled.
 *
 * Errors: SBX-1502; SBX-1001.
 * SIDE EFFECTS: imports an image of about 2 MB that `remove` takes away again, or pulls one that stays.
 */
export async function probeImage(
  engine: Engine,
  {
    id,
    fallback,
    pull,
  }: { readonly id: string; readonly fallback: string; readonly pull: (image: string, timeoutMs: number) => Promise<PulledImage> },
  signal?: AbortSignal,
): Promise<{ readonly image: string; remove(): Promise<void> }> {
  let busybox: string | undefined;
  for (const path of BUSYBOX) if (busybox === undefined && (await isStatic(path))) busybox = path;
  if (busybox === undefined) {
    try {
      await pull(fallback, PULL_MS);
    } catch (thrown) {
      if (hasCode(thrown, "SBX-1001")) throw thrown;
      throw new CodedError("SBX-1502", { reason: CodedError.from(thrown).message }, { cause: thrown });
    }
    return { image: fallback, remove: async () => undefined };
  }
  await removeImages(engine, id, signal);
  const image = `${REPOSITORY}:${id}`;
  await engine.send(
    {
      method: "POST",
      path: "/images/create",
      query: { fromSrc: "-", repo: REPOSITORY, tag: id, changes: `LABEL ${LABEL}=${id}` },
      upload: await tarOf(busybox),
    },
    { what: "import the image of the probe", signal },
  );
  // Also when the proof was given up.
  return { image, remove: () => removeImages(engine, id) };
}

const APPLETS = ["sh", "cat", "cut", "echo", "grep", "kill", "nc", "printf", "sleep", "tail", "wc"];

async function tarOf(busybox: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of Readable.from(busyboxTar(await readFile(busybox), APPLETS))) parts.push(Buffer.from(part));
  return Buffer.concat(parts);
}

/** Also those that a worker which was killed left behind. */
async function removeImages(engine: Engine, id: string, signal?: AbortSignal): Promise<void> {
  const filters = JSON.stringify({ label: [`${LABEL}=${id}`] });
  const found = await engine.json({ method: "GET", path: "/images/json", query: { filters } }, imageIds, { what: "list images", signal });
  for (const { Id } of found) {
    await engine.send(
      { method: "DELETE", path: `/images/${Id}`, query: { force: true } },
      { what: "remove the image of the probe", signal, on: { 404: () => undefined, 409: () => undefined } },
    );
  }
}
