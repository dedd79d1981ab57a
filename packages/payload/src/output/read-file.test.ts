import { appendFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { codeOf, LIMITS, makeTree, never } from "../test/tree.ts";
import { readTreeFile } from "./read-file.ts";
import { type TreeFile, walkOutput } from "./walk.ts";

async function drain(file: TreeFile): Promise<number> {
  let bytes = 0;
  for await (const chunk of readTreeFile(file)) bytes += chunk.byteLength;
  return bytes;
}

test("reads the file that was listed", async () => {
  const { outDir } = await makeTree({ a: "x".repeat(600_000) });
  const file = (await walkOutput(outDir, LIMITS, never)).files.get("a");
  expect(file === undefined ? -1 : await drain(file)).toBe(600_000);
});

test.each<[string, (path: string) => Promise<unknown>]>([
  ["grew", (path) => appendFile(path, "more")],
  ["shrank", (path) => writeFile(path, "")],
  ["vanished", (path) => rm(path)],
  ["became a link", (path) => rename(path, `${path}2`).then(() => symlink(`${path}2`, path))],
  ["is another file", (path) => writeFile(`${path}2`, "aaaa").then(() => rename(`${path}2`, path))],
])("refuses a file that %s after the walk", async (_name, change) => {
  const { outDir } = await makeTree({ a: "aaaa" });
  const file = (await walkOutput(outDir, LIMITS, never)).files.get("a");
  await change(join(outDir, "a"));
  expect(file === undefined ? "none" : await codeOf(drain(file))).toBe("PAY-1216");
});
