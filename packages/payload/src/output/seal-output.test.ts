import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, link, mkdir, open, readdir, readFile, symlink, truncate, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CALLBACK, codeOf, computed, LIMITS, makeTree, NO_CALLBACK, never, seal } from "../test/tree.ts";
import { fabricateErrorOutput } from "./error-output.ts";
import { readResultZip } from "./read-result-zip.ts";

const run = promisify(execFile);
const GREETING = "Hello, iExec!\n";

/** Seals, and checks that whoever receives the zip computes the same digest. */
async function digest(
  files: Record<string, string>,
  options: Parameters<typeof seal>[1] = {},
  prepare?: (outDir: string) => Promise<unknown>,
) {
  const tree = await makeTree(files);
  await prepare?.(tree.outDir);
  const sealed = await seal(tree, options);
  const read = await readResultZip(sealed.zip.path, LIMITS, options.callback ?? NO_CALLBACK, never);
  expect(read.callbackData).toBe(sealed.callbackData);
  expect(read.digest).toBe(sealed.digest);
  expect(read.files).toBe(sealed.files);
  return sealed.digest;
}

describe("digest vectors", () => {
  test("V1 single file", async () => {
    expect(await digest({ ...computed("/iexec_out/result.txt"), "result.txt": GREETING })).toBe(
      "0x7f6aa116d9bcbd06ae7737dec5d8294b9ffe855e84bae1b5027c885fb1f932d3",
    );
  });

  test("V2 folder", async () => {
    const det = {
      ".hidden": "h",
      "10.txt": "10",
      "9.txt": "9",
      "B.txt": "B",
      "a.txt": "a",
      empty: "",
      "sub/nested.txt": "n",
      "é.txt": "e",
    };
    const files = Object.fromEntries(Object.entries(det).map(([name, content]) => [`det/${name}`, content]));
    expect(await digest({ ...computed("/iexec_out/det"), ...files })).toBe(
      "0x19a981ea48ae8f65686940db8e4327bb2b726840a6b99e706fe051e63bd8250d",
    );
  });

  test("V2b order of UTF-16 units", async () => {
    const files = { "det/a.txt": "a", "det/\u{10000}.txt": "z", "det/\ufb00.txt": "y" };
    const value = await digest({ ...computed("/iexec_out/det/"), ...files });
    expect(value).toBe("0x676591dbd4d55d6c01cce321f1d9273688bca439994d80b16ba177065eedcbae");
    expect(value).not.toBe("0x30572dc745a4df9b79c8aac074198158aed5c3df6c562643a6fd1205a6a33d3c");
  });

  test("V2c empty folder", async () => {
    const tree = await makeTree(computed("/iexec_out/det"));
    await mkdir(join(tree.outDir, "det"));
    const sealed = await seal(tree);
    expect(sealed.digest).toBe("0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");
    // An empty folder is not in the zip, as in the Java worker's; a receiver cannot recompute it.
    expect(await codeOf(readResultZip(sealed.zip.path, LIMITS, NO_CALLBACK, never))).toBe("PAY-1213");
  });

  test("V2d whole /iexec_out, with the worker's stdout.txt in it", async () => {
    const files = { "computed.json": '{"deterministic-output-path":"/iexec_out"}', "result.txt": GREETING };
    const expected = "0x9ced4f978d45cca75cff6a1b4f1e325d0fdfdb8fc91274e9a85534d042b1bbf1";
    expect(await digest(files, { extras: { stdout: "done\n", stderr: "" } })).toBe(expected);
    expect(await digest({ ...files, "stdout.txt": "the app's own" }, { extras: { stdout: "done\n" } })).toBe(expected);
  });

  test.each([
    [`0x${"0".repeat(63)}1`, `0x${"0".repeat(63)}1`, "0xb10e2d527612073b26eecdfd717e6a320cf44b4afac2b0732d9fcbe2b7fa0cf6"],
    ["0x", "0x", "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"],
    ["0xabc", "0x0abc", "0xe91cf08aac85935e32397f410e48217a127b6855d41b1e3877eb4179c0904b77"],
    ["abcd", "0xabcd", "0xdbe576b4818846aa77e82f4ed5fa78f92766b141f282d36703886d196df39322"],
    ["0xABCD", "0xabcd", "0xdbe576b4818846aa77e82f4ed5fa78f92766b141f282d36703886d196df39322"],
    ["0X12", "0xff12", "0x443634b0dd8b89ab80ce1b22848c33bf5ddb9ee81e2ef72b2b21117d14d766db"],
    ["hello", "0xffdfef", "0xd81eea834ace52ac9a6e196d18b464723a98256be58e8210e9b4b77423c1fea9"],
    ["0x12zz", "0x12ef", "0x47619ff7225b35d9270031bdbcb5449a521ede3c819b972d0eb7f3eb2a8eec2d"],
  ])("V3 callback %s", async (text, data, expected) => {
    const tree = await makeTree({ "computed.json": JSON.stringify({ "callback-data": text }) });
    expect(await seal(tree, { callback: CALLBACK })).toMatchObject({ callbackData: data, digest: expected });
  });

  test.each([
    ["9.2", "APP_IMAGE_DOWNLOAD_FAILED", 143, "0x6b234cc858ad3404f912dd7f119afe2178251bec64cb25e5cbeba61dd764fc5d"],
    ["9.1", "APP_IMAGE_DOWNLOAD_FAILED", 112, "0x95011a7ce01277ba00c21bef4e116812e0bcf6eb44b202f56e1879b17f5c0561"],
    ["9.0", "APP_IMAGE_DOWNLOAD_FAILED", 108, "0xb46b470f39c43c347a858b3953dbca528abb5d5faf0c60f6895b4835e7f34993"],
    ["9.2", "DATASET_FILE_DOWNLOAD_FAILED", 147, "0x8e3ac3704dc9fd9bdec06799b85a570e7f67f3ff8cd751b11af241dddbe4996e"],
  ] as const)("V4 fabricated error, %s %s", async (version, cause, bytes, expected) => {
    const tree = await makeTree({ "half-written": "x" });
    await fabricateErrorOutput(tree.outDir, cause, version);
    expect((await readFile(join(tree.outDir, "error.txt"))).byteLength).toBe(bytes);
    expect((await readdir(tree.outDir)).sort()).toEqual(["computed.json", "error.txt"]);
    expect((await seal(tree)).digest).toBe(expected);
  });
});

describe("the zip", () => {
  test("depends on names and contents only, and unzip opens it", async () => {
    const files = {
      ...computed("/iexec_out/b"),
      b: GREETING,
      "a/c.txt": "x".repeat(300_000),
      "a/\u00e9.txt": "",
      random: createHash("sha512").update("x").digest(),
    };
    const trees = [await makeTree(files), await makeTree(files)];
    const [first, second] = await Promise.all(
      trees.map(async (tree, at) => {
        await utimes(join(tree.outDir, "b"), at, at);
        await chmod(join(tree.outDir, "b"), at === 0 ? 0o4755 : 0o600);
        const sealed = await seal(tree, { extras: { stderr: "warning\n" } });
        const bytes = await readFile(sealed.zip.path);
        expect(sealed.zip).toMatchObject({ bytes: bytes.byteLength, sha256: `0x${createHash("sha256").update(bytes).digest("hex")}` });
        return { tree, bytes };
      }),
    );
    if (first === undefined || second === undefined) throw new Error("two trees");
    expect(first.bytes.equals(second.bytes)).toBe(true);

    const target = join(first.tree.root, "unzipped");
    await run("unzip", ["-q", join(first.tree.root, "iexec_out.zip"), "-d", target], { env: { ...process.env, LC_ALL: "C.UTF-8" } });
    expect((await readdir(target, { recursive: true })).sort()).toEqual([
      "a",
      "a/c.txt",
      "a/\u00e9.txt",
      "b",
      "computed.json",
      "random",
      "stderr.txt",
    ]);
    expect(await readFile(join(target, "b"), "utf8")).toBe(GREETING);
    expect((await readFile(join(target, "random"))).equals(files.random)).toBe(true);
    await run("unzip", ["-tq", join(first.tree.root, "iexec_out.zip")]);
  });

  test("any files come out as they went in, with the digest they had", async () => {
    const name = fc.stringMatching(/^[a-z0-9_.-]{1,12}$/).filter((text) => !["computed.json", ".", ".."].includes(text));
    const content = fc.oneof(fc.string({ maxLength: 2_000 }), fc.constant("ab".repeat(100_000)));
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, content, { maxKeys: 8 }), async (files) => {
        await digest({ ...files, ...computed("/iexec_out") });
      }),
      { numRuns: 25 },
    );
  });

  test("replaces what a crash has left", async () => {
    const tree = await makeTree({ ...computed("/iexec_out/b"), b: "b" });
    await writeFile(join(tree.root, "iexec_out.zip"), "old");
    const sealed = await seal(tree);
    expect((await readFile(sealed.zip.path)).byteLength).toBe(sealed.zip.bytes);
    expect((await readdir(tree.root)).sort()).toEqual(["iexec_out", "iexec_out.zip"]);
  });

  test("is not written when the folder is not there", async () => {
    const tree = await makeTree({ ...computed("/iexec_out/b"), b: "b" });
    expect(await codeOf(seal({ root: join(tree.root, "missing"), outDir: tree.outDir }))).toBe("PAY-1215");
  });
});

describe("computed.json", () => {
  const of = (content: string): Record<string, string> => ({ "computed.json": content, "result.txt": GREETING });
  test.each<[string, Record<string, string>, string]>([
    ["absent", { "result.txt": GREETING }, "PAY-1211"],
    ["a folder", { "computed.json/x": "" }, "PAY-1212"],
    ["too large", of(" ".repeat(65_537)), "PAY-1212"],
    ["not JSON", of("hello"), "PAY-1212"],
    ["an array", of("[]"), "PAY-1212"],
    ["a path that is an object", of('{"deterministic-output-path":{}}'), "PAY-1212"],
    ["without a path", of("{}"), "PAY-1213"],
    ["an empty path", of('{"deterministic-output-path":""}'), "PAY-1213"],
    ["a null path", of('{"deterministic-output-path":null}'), "PAY-1213"],
    ["only a prototype", of('{"__proto__":{"deterministic-output-path":"/iexec_out"}}'), "PAY-1213"],
    ["a path that leaves", of('{"deterministic-output-path":"/iexec_out/../../../etc/passwd"}'), "PAY-1213"],
    ["a path beside", of('{"deterministic-output-path":"/iexec_outside"}'), "PAY-1213"],
    ["a path that is not there", of('{"deterministic-output-path":"/iexec_out/none"}'), "PAY-1213"],
    ["a file taken as a folder", of('{"deterministic-output-path":"/iexec_out/result.txt/x"}'), "PAY-1213"],
  ])("%s", async (_name, files, expected) => {
    const tree = await makeTree(files);
    expect(await codeOf(seal(tree))).toBe(expected);
    expect(await readdir(tree.root)).toEqual(["iexec_out"]);
  });

  test.each([
    ["no callback data", "{}"],
    ["null", '{"callback-data":null}'],
    ["empty", '{"callback-data":""}'],
    ["too long", JSON.stringify({ "callback-data": `0x${"00".repeat(1_025)}` })],
  ])("callback: %s", async (_name, content) => {
    expect(await codeOf(seal(await makeTree(of(content)), { callback: CALLBACK }))).toBe("PAY-1214");
  });

  test("cannot choose the digest", async () => {
    const content = JSON.stringify({ "deterministic-output-path": "/iexec_out/result.txt", "result-digest": `0x${"11".repeat(32)}` });
    expect(await digest(of(content))).toBe("0x7f6aa116d9bcbd06ae7737dec5d8294b9ffe855e84bae1b5027c885fb1f932d3");
  });
});

describe("hostile trees", () => {
  const good = { ...computed("/iexec_out/result.txt"), "result.txt": GREETING };

  test.each<[string, string, (outDir: string) => Promise<unknown>]>([
    ["H07 stdout.txt linked to a host file", "PAY-1202", (out) => symlink("/etc/hostname", join(out, "stdout.txt"))],
    ["H07 a folder link to /", "PAY-1202", (out) => symlink("/", join(out, "root"))],
    ["H07 a link to itself", "PAY-1202", (out) => symlink("self", join(out, "self"))],
    ["H07 a link inside the tree", "PAY-1202", (out) => symlink("result.txt", join(out, "again"))],
    ["H11 a pipe", "PAY-1202", (out) => run("mkfifo", [join(out, "pipe")])],
    ["H11 a hard link", "PAY-1203", (out) => link(join(out, "result.txt"), join(out, "twin"))],
    ["H08 a backslash name", "PAY-1204", (out) => writeFile(join(out, "..\\..\\x"), "")],
    ["H08 a drive letter", "PAY-1204", (out) => writeFile(join(out, "C:x"), "")],
    ["H15 a newline name", "PAY-1204", (out) => writeFile(join(out, "a\nb"), "")],
    [
      "H15 invalid UTF-8",
      "PAY-1204",
      (out) => open(Buffer.concat([Buffer.from(`${out}/`), Buffer.from([0x62, 0xff])]), "w").then((file) => file.close()),
    ],
    ["H15 a file name of 32 units", "PAY-1201", (out) => writeFile(join(out, "x".repeat(32)), "")],
    ["H15 a file name of 16 astral characters", "PAY-1201", (out) => writeFile(join(out, "\u{1f600}".repeat(16)), "")],
    [
      "H09 a sparse terabyte",
      "PAY-1208",
      async (out) => {
        await writeFile(join(out, "sparse"), "");
        await truncate(join(out, "sparse"), 1_000_000_000_000);
      },
    ],
    [
      "H09 many large files",
      "PAY-1209",
      (out) => Promise.all(["a", "b", "c"].map((name) => writeFile(join(out, name), Buffer.alloc(900_000)))),
    ],
    ["H10 many files", "PAY-1205", (out) => Promise.all(Array.from({ length: 100 }, (_, at) => writeFile(join(out, `f${at}`), "")))],
    ["H10 deep folders", "PAY-1206", (out) => mkdir(join(out, ..."abcdefghi"), { recursive: true })],
    ["a long path", "PAY-1207", (out) => mkdir(join(out, "x".repeat(200), "y".repeat(100)), { recursive: true })],
    ["a folder in the place of stdout.txt", "PAY-1204", (out) => mkdir(join(out, "stdout.txt"))],
  ])("%s", async (_name, expected, prepare) => {
    const tree = await makeTree(good);
    await prepare(tree.outDir);
    expect(await codeOf(seal(tree, { extras: { stdout: "out" } }))).toBe(expected);
    expect(await readdir(tree.root)).toEqual(["iexec_out"]);
  });

  test("H11 a socket", async () => {
    const tree = await makeTree(good);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(join(tree.outDir, "s"), resolve));
    expect(await codeOf(seal(tree))).toBe("PAY-1202");
    server.close();
  });

  test("an output folder that is itself a link", async () => {
    const tree = await makeTree(good);
    await symlink(tree.outDir, join(tree.root, "link"));
    expect(await codeOf(seal({ root: tree.root, outDir: join(tree.root, "link") }))).toBe("PAY-1202");
  });

  test("H15 names that are fine: 31 units, NFC and NFD, right-to-left, a leading dash, a colon", async () => {
    const names = ["x".repeat(31), "\u00e9", "e\u0301", "\u202etxt", "-rf", "10:30 report", "\u{1f600}"];
    await digest({ ...computed("/iexec_out"), ...Object.fromEntries(names.map((name) => [name, name])) });
  });

  test("the worker's own files count in the limits", async () => {
    expect(await codeOf(seal(await makeTree(good), { extras: { stdout: "x".repeat(1_000_001) } }))).toBe("PAY-1208");
    expect(await codeOf(seal(await makeTree(good), { extras: { stdout: "x".repeat(60) }, limits: { totalBytes: 100 } }))).toBe("PAY-1209");
  });
});
