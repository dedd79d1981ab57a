import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { createHealth, createHttpServer, createMetrics, type HttpServer, silentLogger } from "@iexec-ts/service";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { IpfsStore } from "../api.ts";
import { freshFolder } from "../test/tree.ts";
import { parseRange, registerIpfsGateway } from "./gateway.ts";
import { openIpfsStore } from "./local-store.ts";

const HELLO = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";
const ABSENT = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";
let server: HttpServer;
let store: IpfsStore;
let dir: string;
let base: string;
async function* bytesOf(...parts: (string | Buffer)[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part);
}

beforeAll(async () => {
  dir = await freshFolder(() => undefined);
  store = await openIpfsStore({ dir });
  await store.add(bytesOf("hello world\n"));
  const shell = { name: "gateway", version: "0.0.0", host: "127.0.0.1", port: 0, logger: silentLogger };
  server = await createHttpServer({ ...shell, metrics: createMetrics("test_"), health: createHealth() });
  registerIpfsGateway(server.app, store);
  base = (await server.listen()).url;
});
afterAll(async () => {
  await server.close();
  await store.close();
  await rm(dir, { recursive: true, force: true });
});
const get = (path: string, init: RequestInit = {}): Promise<Response> => fetch(`${base}${path}`, init);

test("serves a file as an immutable download", async () => {
  const response = await get(`/ipfs/${HELLO}`);
  expect(response.status).toBe(200);
  expect(await response.text()).toBe("hello world\n");
  expect(Object.fromEntries(response.headers)).toMatchObject({
    "content-type": "application/octet-stream",
    "content-length": "12",
    "accept-ranges": "bytes",
    etag: `"${HELLO}"`,
    "x-content-type-options": "nosniff",
    "x-ipfs-path": `/ipfs/${HELLO}`,
  });
  expect(response.headers.get("cache-control")).toContain("immutable");
});

test("HEAD tells the size and nothing else", async () => {
  const response = await get(`/ipfs/${HELLO}`, { method: "HEAD" });
  expect([response.status, response.headers.get("content-length"), await response.text()]).toEqual([200, "12", ""]);
});

test.each([
  ["bytes=0-4", 206, "hello", "bytes 0-4/12"],
  ["bytes=6-", 206, "world\n", "bytes 6-11/12"],
  ["bytes=-6", 206, "world\n", "bytes 6-11/12"],
  ["bytes=6-99", 206, "world\n", "bytes 6-11/12"],
  ["bytes=0-1,3-4", 200, "hello world\n", null],
  ["lines=0-1", 200, "hello world\n", null],
])("range %s", async (range, status, body, contentRange) => {
  const response = await get(`/ipfs/${HELLO}`, { headers: { range } });
  expect([response.status, await response.text(), response.headers.get("content-range")]).toEqual([status, body, contentRange]);
});

test("a range past the end", async () => {
  const response = await get(`/ipfs/${HELLO}`, { headers: { range: "bytes=12-" } });
  expect([response.status, response.headers.get("content-range")]).toEqual([416, "bytes */12"]);
  expect(await response.json()).toMatchObject({ code: "PAY-1303" });
});

test("a client that has it gets 304", async () => {
  expect((await get(`/ipfs/${HELLO}`, { headers: { "if-none-match": `"x", W/"${HELLO}"` } })).status).toBe(304);
});

test("one block as it is hashed", async () => {
  const response = await get(`/ipfs/${HELLO}?format=raw`);
  expect(response.headers.get("content-type")).toBe("application/vnd.ipld.raw");
  expect((await response.arrayBuffer()).byteLength).toBe(20);
});

test.each([
  [`/ipfs/${ABSENT}`, 404, "PAY-1302"],
  [`/ipfs/${ABSENT}?format=raw`, 404, "PAY-1302"],
  ["/ipfs/hello", 400, "PAY-1301"],
  ["/ipfs/..%2f..%2fetc%2fpasswd", 400, "PAY-1301"],
  [`/ipfs/${HELLO}/etc/passwd`, 404, "SVC-1205"],
])("%s is answered with %d %s", async (path, status, code) => {
  const response = await get(path);
  expect(response.status).toBe(status);
  expect(await response.json()).toMatchObject({ code });
  expect(response.headers.get("cache-control") ?? "no-store").toBe("no-store");
});

test("a file that lost its blocks is not served", async () => {
  const { cid } = await store.add(bytesOf(Buffer.alloc(300_000, 1), Buffer.alloc(300_000, 2)));
  expect((await get(`/ipfs/${cid}`)).status).toBe(200);
  for (const name of await readdir(dir, { recursive: true })) if (name.endsWith(".data")) await rm(join(dir, name));
  expect((await get(`/ipfs/${cid}`)).status).toBe(404);
});

test("a range is always inside the file", () => {
  fc.assert(
    fc.property(fc.nat(20), fc.option(fc.nat(30)), fc.option(fc.nat(30)), (size, first, last) => {
      const range = parseRange(`bytes=${first ?? ""}-${last ?? ""}`, size);
      if (range === undefined || range === "unsatisfiable") return;
      expect(range.start).toBeGreaterThanOrEqual(0);
      expect(range.end).toBeGreaterThanOrEqual(range.start);
      expect(range.end).toBeLessThan(size);
    }),
  );
});
