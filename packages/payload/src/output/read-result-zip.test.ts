import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { expect, test } from "vitest";
import { ZipFile } from "yazl";
import { CALLBACK, codeOf, computed, freshFolder, LIMITS, makeTree, NO_CALLBACK, never, seal } from "../test/tree.ts";
import { readResultZip } from "./read-result-zip.ts";
import { writeZip } from "./zip-writer.ts";

const V1 = "0x7f6aa116d9bcbd06ae7737dec5d8294b9ffe855e84bae1b5027c885fb1f932d3";
const GREETING = "Hello, iExec!\n";
const good = { ...computed("/iexec_out/result.txt"), "result.txt": GREETING };

async function zipped(fill: (zip: ZipFile) => void): Promise<string> {
  const zip = new ZipFile();
  fill(zip);
  zip.end();
  const path = join(await freshFolder(), "r.zip");
  await writeFile(path, await buffer(zip.outputStream));
  return path;
}
const addGood = (zip: ZipFile): void => {
  for (const [name, content] of Object.entries(good)) zip.addBuffer(Buffer.from(content), name);
};
/** An archive with names no honest writer takes. */
async function named(...names: string[]): Promise<string> {
  const path = join(await freshFolder(), "r.zip");
  await writeZip(
    path,
    names.map((name) => ({ name, open: () => [Buffer.from("x")] })),
    never,
  );
  return path;
}
const read = (path: string, limits = {}): ReturnType<typeof readResultZip> =>
  readResultZip(path, { ...LIMITS, ...limits }, NO_CALLBACK, never);

test("another writer's archive, with folders and stored entries", async () => {
  const path = await zipped((zip) => {
    addGood(zip);
    zip.addEmptyDirectory("logs");
    zip.addBuffer(Buffer.from("raw"), "logs/raw", { compress: false });
  });
  expect(await read(path)).toEqual({ digest: V1, callbackData: undefined, files: 3, bytes: 70 });
});

test("a callback result", async () => {
  const sealed = await seal(await makeTree({ "computed.json": '{"callback-data":"0xabc"}' }), { callback: CALLBACK });
  expect(await readResultZip(sealed.zip.path, LIMITS, CALLBACK, never)).toMatchObject({
    callbackData: "0x0abc",
    digest: "0xe91cf08aac85935e32397f410e48217a127b6855d41b1e3877eb4179c0904b77",
  });
});

test.each([
  ["../../x", "PAY-1221"],
  ["/etc/x", "PAY-1221"],
  ["..\\x", "PAY-1221"],
  ["C:\\x", "PAY-1221"],
  ["a/./b", "PAY-1222"],
  ["a//b", "PAY-1222"],
  ["a\nb", "PAY-1222"],
  [`${"d/".repeat(9)}x`, "PAY-1206"],
  ["x".repeat(300), "PAY-1207"],
])("refuses the entry name %j", async (name, expected) => expect(await codeOf(read(await named(name)))).toBe(expected));

test("refuses a name that occurs twice, and one that is file and folder", async () => {
  expect(await codeOf(read(await named("a", "a")))).toBe("PAY-1222");
  expect(await codeOf(read(await named("a", "a/b")))).toBe("PAY-1222");
});

test("refuses links", async () => {
  const path = await zipped((zip) => zip.addBuffer(Buffer.from("/etc/passwd"), "link", { mode: 0o120777 }));
  expect(await codeOf(read(path))).toBe("PAY-1222");
});

test("stops a bomb at the limit, whatever the entry says about its size", async () => {
  const bomb = await zipped((zip) => {
    addGood(zip);
    zip.addBuffer(Buffer.alloc(20_000_000), "zeros");
  });
  expect(await codeOf(read(bomb))).toBe("PAY-1208");
  expect(await codeOf(read(bomb, { fileBytes: 30_000_000 }))).toBe("PAY-1209");
  const bytes = await readFile(bomb);
  const lying = bytes.lastIndexOf(Buffer.from([0x50, 0x4b, 0x01, 0x02]));
  bytes.writeUInt32LE(10, lying + 24);
  await writeFile(bomb, bytes);
  expect(await codeOf(read(bomb))).toBe("PAY-1221");
});

test("refuses too many entries by the announced and by the real count", async () => {
  const path = await zipped((zip) => {
    for (let at = 0; at < 101; at++) zip.addBuffer(Buffer.from(""), `f${at}`);
  });
  expect(await codeOf(read(path))).toBe("PAY-1205");
});

test.each([
  ["text", Buffer.from("this is no zip file, only some text that is long enough")],
  ["nothing", Buffer.alloc(0)],
])("refuses %s", async (_name, bytes) => {
  const path = join(await freshFolder(), "r.zip");
  await writeFile(path, bytes);
  expect(await codeOf(read(path))).toBe("PAY-1221");
});

test("refuses an archive that was damaged on the way", async () => {
  const sealed = await seal(await makeTree({ ...good, "result.txt": "text ".repeat(50_000) }));
  const bytes = await readFile(sealed.zip.path);
  await writeFile(sealed.zip.path, bytes.subarray(0, -30));
  expect(await codeOf(read(sealed.zip.path))).toBe("PAY-1221");
});

test("refuses an archive without computed.json", async () => expect(await codeOf(read(await named("a")))).toBe("PAY-1211"));
