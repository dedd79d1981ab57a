import { execFile } from "node:child_process";
import { chmod, mkdtemp, readdir, readFile, readlink, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { placeFolder, replaceFile, replaceFileSync, replaceLink, sweepDrafts, writeDurably } from "./durable-file.ts";

let folder: string;
let target: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "durable-"));
  target = join(folder, "file.json");
});
afterEach(() => rm(folder, { recursive: true }));

const text = (writer: number, size: number): string => JSON.stringify({ writer, size, body: String(writer % 10).repeat(size) });
/** A text that was cut off, or of which two parts come from two writers, is not one of ours. */
const isWhole = (found: string): boolean => {
  const { writer, size }: { writer: number; size: number } = JSON.parse(found);
  return found === text(writer, size);
};

test("any number of writers of one file: none fails, a reader always sees a whole one, no draft stays", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 200_000 }), { minLength: 50, maxLength: 50 }), async (sizes) => {
      replaceFileSync(target, text(0, 1));
      let writing = true;
      const reading = (async () => {
        let seen = 0;
        for (; writing || seen === 0; seen++) expect(isWhole(await readFile(target, "utf8"))).toBe(true);
        return seen;
      })();
      const writes = await Promise.allSettled(
        sizes.map((size, writer) => {
          const content = text(writer, size);
          if (writer % 3 === 0) return replaceFile(target, content, { flush: writer % 2 === 0 });
          if (writer % 3 === 1) return Promise.resolve().then(() => replaceFileSync(target, content));
          return writeDurably(target, async (file) => {
            await file.write(content.slice(0, size / 2));
            await file.write(content.slice(size / 2));
          });
        }),
      );
      writing = false;
      expect(await reading).toBeGreaterThan(0);
      expect(writes.filter(({ status }) => status === "rejected")).toEqual([]);
      expect(isWhole(await readFile(target, "utf8"))).toBe(true);
      expect(await readdir(folder)).toEqual(["file.json"]);
    }),
    { numRuns: 5 },
  );
});

test("a write that fails leaves what was there, and nothing beside it", async () => {
  await replaceFile(target, "before");
  const failing = writeDurably(target, async (file) => {
    await file.write("half");
    throw new Error("the disk is full");
  });
  await expect(failing).rejects.toThrow("the disk is full");
  expect(await readFile(target, "utf8")).toBe("before");
  expect(await readdir(folder)).toEqual(["file.json"]);
});

test("a name that is a folder: the error is the file system's, and no draft stays", async () => {
  await promisify(execFile)("mkdir", ["-p", join(target, "full")]);
  await expect(replaceFile(target, "x")).rejects.toMatchObject({ code: "EISDIR" });
  expect(() => replaceFileSync(target, "x")).toThrow(expect.objectContaining({ code: "EISDIR" }));
  expect(await readdir(folder)).toEqual(["file.json"]);
});

test("of many who may only create, one does", async () => {
  const create = (writer: number) => writeDurably(target, (file) => file.writeFile(text(writer, 10)), { exclusive: true });
  const done = await Promise.allSettled(Array.from({ length: 20 }, (_, writer) => create(writer)));
  expect(done.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  const codes = done.flatMap((one) => (one.status === "rejected" ? [one.reason.code] : []));
  expect(new Set(codes)).toEqual(new Set(["EEXIST"]));
  expect(isWhole(await readFile(target, "utf8"))).toBe(true);
  expect(await readdir(folder)).toEqual(["file.json"]);
});

test("the mode is the asked one, 0600 unless told, and the longest name is no obstacle", async () => {
  await replaceFile(target, "x");
  expect((await stat(target)).mode & 0o777).toBe(0o600);
  await chmod(target, 0o640);
  await replaceFile(target, "x", { mode: 0o644 });
  expect((await stat(target)).mode & 0o777 & ~0o022).toBe(0o644);
  await replaceFile(join(folder, "n".repeat(255)), "x");
});

test("drafts of crashed writers go: the old ones with the next small file, all of them when the folder's owner says so", async () => {
  const crashed = (digit: string) => join(folder, `.${digit.repeat(8)}-0000-4000-8000-000000000000.draft`);
  for (const digit of ["1", "2"]) await writeFile(crashed(digit), "half");
  await writeFile(join(folder, ".mine.draft"), "not one of ours");
  const hours = (Date.now() - 2 * 60 * 60 * 1_000) / 1_000;
  await utimes(crashed("1"), hours, hours);
  await replaceFile(target, "x");
  expect((await readdir(folder)).sort()).toEqual([".22222222-0000-4000-8000-000000000000.draft", ".mine.draft", "file.json"]);
  await sweepDrafts(folder);
  expect((await readdir(folder)).sort()).toEqual([".mine.draft", "file.json"]);
});

test("a process that is killed while it writes leaves the old file, and a draft that the owner sweeps", async () => {
  await replaceFile(target, "before");
  const program = `
    import { writeDurably } from ${JSON.stringify(new URL("./durable-file.ts", import.meta.url).href)};
    await writeDurably(${JSON.stringify(target)}, async (file) => {
      await file.write("half");
      process.kill(process.pid, "SIGKILL");
      await new Promise(() => setInterval(() => undefined, 1_000));
    });`;
  await expect(promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program])).rejects.toMatchObject({
    signal: "SIGKILL",
  });
  expect(await readFile(target, "utf8")).toBe("before");
  expect(await readdir(folder)).toHaveLength(2);
  await sweepDrafts(folder);
  expect(await readdir(folder)).toEqual(["file.json"]);
});

test("a link is replaced at no moment missing, a folder takes the place of another", async () => {
  const link = join(folder, "current");
  await Promise.all(Array.from({ length: 10 }, (_, version) => replaceLink(link, `versions/${version}`)));
  expect(await readlink(link)).toMatch(/^versions\/\d$/);
  for (const name of ["old", "new"]) {
    await promisify(execFile)("mkdir", ["-p", join(folder, name)]);
    await writeFile(join(folder, name, "is"), name);
  }
  await placeFolder(join(folder, "new"), join(folder, "old"));
  expect(await readFile(join(folder, "old", "is"), "utf8")).toBe("new");
  expect((await readdir(folder)).sort()).toEqual(["current", "old"]);
});
