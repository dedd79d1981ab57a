import { chmod, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@iexec-ts/service";
import { afterEach, beforeEach, expect, test } from "vitest";
import { measureTree } from "./disk-usage.ts";
import { nextLookMs, untilExceeded } from "./output-watch.ts";

const KIB = 1024;
const LIMITS = { bytes: 1024 * KIB, entries: 100 };
let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "sandbox-usage-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

test("files in folders are counted by what they take on disk", async () => {
  await mkdir(join(root, "a/b"), { recursive: true });
  await writeFile(join(root, "a/b/file"), Buffer.alloc(200 * KIB, 1));
  const usage = await measureTree(root, LIMITS);
  expect(usage).toMatchObject({ entries: 3, unreadable: 0, exceeded: false });
  expect(usage.bytes).toBeGreaterThanOrEqual(200 * KIB);
  expect((await measureTree(root, { ...LIMITS, bytes: 100 * KIB })).exceeded).toBe(true);
});

test("a sparse file takes what it takes", async () => {
  await writeFile(join(root, "sparse"), "");
  await truncate(join(root, "sparse"), 1024 ** 4);
  expect(await measureTree(root, LIMITS)).toMatchObject({ exceeded: false });
});

test("links lead nowhere, not even when the root is one", async () => {
  await symlink("/", join(root, "everything"));
  expect(await measureTree(root, LIMITS)).toMatchObject({ entries: 1, exceeded: false });
  expect(await measureTree(join(root, "everything"), LIMITS)).toMatchObject({ entries: 0, exceeded: false });
});

test("names that are no UTF-8 are counted", async () => {
  await writeFile(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0xfe, 0x0a])]), Buffer.alloc(50 * KIB, 1));
  const usage = await measureTree(root, LIMITS);
  expect(usage.entries).toBe(1);
  expect(usage.bytes).toBeGreaterThanOrEqual(50 * KIB);
});

test("too many entries or too deep a tree exceed the limits", async () => {
  for (let n = 0; n < 20; n++) await writeFile(join(root, String(n)), "");
  expect(await measureTree(root, { ...LIMITS, entries: 19 })).toMatchObject({ exceeded: true });
  await mkdir(join(root, "d/".repeat(80)), { recursive: true });
  expect(await measureTree(root, { bytes: 1024 * 1024 * KIB, entries: 10_000 })).toMatchObject({ exceeded: true });
});

test("a folder that does not exist is empty", async () => {
  expect(await measureTree(join(root, "none"), LIMITS)).toEqual({ bytes: 0, entries: 0, unreadable: 0, exceeded: false });
});

test.skipIf(process.getuid?.() === 0)("a folder that may not be read is reported", async () => {
  await mkdir(join(root, "locked"));
  await chmod(join(root, "locked"), 0);
  expect((await measureTree(root, LIMITS)).unreadable).toBe(1);
  await chmod(join(root, "locked"), 0o700);
});

test("the watch ends when the cap is exceeded, and when it is aborted", async () => {
  let bytes = 0;
  const write = async () => {
    bytes += 40;
  };
  const ports = { clock: { ...systemClock, sleep: write }, random: () => 0, signal: new AbortController().signal };
  await untilExceeded(async () => ({ bytes, exceeded: bytes > 100 }), 100, ports);
  expect(bytes).toBe(120);
  const abort = new AbortController();
  const endless = untilExceeded(async () => ({ bytes: 0, exceeded: false }), 100, { ...ports, clock: systemClock, signal: abort.signal });
  abort.abort();
  await expect(endless).rejects.toThrow();
});

test("the nearer the cap the sooner the next look, and a slow look is not repeated at once", () => {
  const full = () => 1;
  expect(nextLookMs(0, 1, full)).toBe(100);
  expect(nextLookMs(1e12, 1, full)).toBe(2_000);
  expect(nextLookMs(100_000_000, 1, full)).toBe(500);
  expect(nextLookMs(0, 1_000, full)).toBe(9_000);
});
