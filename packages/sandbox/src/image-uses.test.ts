import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fileImageUses, memoryImageUses } from "./image-uses.ts";

const AT = new Date("2026-11-24T10:00:00Z");
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "sandbox-uses-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test.each([
  ["memory", () => memoryImageUses()],
  ["file", () => fileImageUses(join(folder, "deep/uses.json"))],
] as const)("%s: uses are kept until forgotten, also when written at once", async (_, make) => {
  const uses = make();
  await Promise.all(["a", "b", "c"].map((id) => uses.touch(id, AT)));
  await uses.forget("b");
  expect(await uses.all()).toEqual(
    new Map([
      ["a", AT],
      ["c", AT],
    ]),
  );
});

test("a file outlives the process and leaves no drafts", async () => {
  const path = join(folder, "uses.json");
  await fileImageUses(path).touch("a", AT);
  expect(await fileImageUses(path).all()).toEqual(new Map([["a", AT]]));
  expect(await readdir(folder)).toEqual(["uses.json"]);
});

test.each(["", "{", "[]", '{"a":1}', '{"a":"yesterday"}'])("a damaged file (%j) counts as empty and is replaced", async (content) => {
  const path = join(folder, "uses.json");
  await writeFile(path, content);
  expect(await fileImageUses(path).all()).toEqual(new Map());
  await fileImageUses(path).touch("b", AT);
  expect(await fileImageUses(path).all()).toEqual(new Map([["b", AT]]));
});
