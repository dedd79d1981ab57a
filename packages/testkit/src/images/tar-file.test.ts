import { mkdtemp, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { extract } from "tar-stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ImageEntry, writeTar } from "./tar-file.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "iexec-tar-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("equal contents give equal bytes, whatever the order and the dates", async () => {
  const source = join(folder, "source");
  await writeFile(source, "copied");
  const entries: [string, ImageEntry][] = [
    ["/app/b.txt", { kind: "text", content: "b" }],
    ["/app/deep/a.txt", { kind: "copy", from: source, mode: 0o755 }],
    ["/bin/sh", { kind: "link", to: "/bin/busybox" }],
    ["/tmp", { kind: "folder", mode: 0o1777 }],
  ];
  const first = await writeTar(join(folder, "first.tar"), new Map(entries));
  await utimes(source, 1, 1);
  const second = await writeTar(join(folder, "second.tar"), new Map(entries.toReversed()));
  expect(second).toEqual(first);
  expect((await readFile(join(folder, "first.tar"))).length).toBe(first.bytes);
});

test("folders come before what is in them, owned by root and dated 1970", async () => {
  const file = join(folder, "order.tar");
  await writeTar(file, new Map<string, ImageEntry>([["/a/b/c", { kind: "text", content: "x", mode: 0o600 }]]));
  const seen: unknown[] = [];
  const reader = extract();
  Readable.from([await readFile(file)]).pipe(reader);
  for await (const entry of reader) {
    const { name, mode, uid, type, mtime } = entry.header;
    seen.push([name.replace(/\/$/, ""), type, mode, uid, mtime?.getTime()]);
    entry.resume();
  }
  expect(seen).toEqual([
    ["a", "directory", 0o755, 0, 0],
    ["a/b", "directory", 0o755, 0, 0],
    ["a/b/c", "file", 0o600, 0, 0],
  ]);
});

test("a file that is not there is an error, not a broken tar", async () => {
  const files = new Map<string, ImageEntry>([["/x", { kind: "copy", from: join(folder, "missing") }]]);
  await expect(writeTar(join(folder, "never.tar"), files)).rejects.toMatchObject({ code: "ENOENT" });
});
