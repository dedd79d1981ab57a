import { createHash } from "node:crypto";
import { readdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { IpfsStore } from "../api.ts";
import { startKuboStub } from "../test/kubo-stub.ts";
import { codeOf, freshFolder } from "../test/tree.ts";
import { createKuboIpfs } from "./kubo.ts";
import { openIpfsStore } from "./local-store.ts";

const HELLO = "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o";
const ABSENT = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG";
async function* bytesOf(...parts: (string | Buffer)[]): AsyncGenerator<Buffer> {
  for (const part of parts) yield Buffer.from(part);
}
/** Repeatable, incompressible bytes. */
function noise(length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at * 64 < length; at++) blocks.push(createHash("sha512").update(String(at)).digest());
  return Buffer.concat(blocks).subarray(0, length);
}

const cleaning: (() => Promise<void>)[] = [];
const atEnd = (clean: () => Promise<void>): void => void cleaning.push(clean);
afterAll(() => Promise.all(cleaning.map((clean) => clean())));

interface Opened {
  readonly store: IpfsStore;
  readonly close: () => Promise<void>;
}
const makers: Record<string, () => Promise<Opened>> = {
  local: async () => {
    const store = await openIpfsStore({ dir: await freshFolder(atEnd) });
    return { store, close: () => store.close() };
  },
  kubo: async () => {
    const behind = await openIpfsStore({ dir: await freshFolder(atEnd) });
    const stub = await startKuboStub(behind);
    const store = createKuboIpfs({ apiUrl: `${stub.url}/` });
    return { store, close: () => store.close().then(stub.close) };
  },
};

describe.each(Object.keys(makers))("an IPFS store: %s", (name) => {
  let opened: Opened;
  beforeAll(async () => {
    const maker = makers[name];
    if (maker === undefined) throw new Error(name);
    opened = await maker();
  });
  afterAll(() => opened.close());

  test("gives Kubo's CID and the same bytes back", async () => {
    expect(await opened.store.add(bytesOf("hello ", "world\n"))).toEqual({ cid: HELLO, bytes: 12 });
    expect(await opened.store.stat(HELLO)).toEqual({ bytes: 12 });
    expect((await buffer(opened.store.get(HELLO))).toString()).toBe("hello world\n");
  });

  test("an empty file", async () => {
    const { cid, bytes } = await opened.store.add(bytesOf());
    expect([cid, bytes]).toEqual(["QmbFMke1KXqnYyBBWxB74N4c5SBnJMVAiMNRcGu6x1AwQH", 0]);
    expect((await buffer(opened.store.get(cid))).byteLength).toBe(0);
  });

  test("a file of many chunks, whole and in ranges, whatever the pieces it came in", async () => {
    const file = noise(3_000_001);
    const { cid, bytes } = await opened.store.add(bytesOf(file));
    expect(bytes).toBe(file.byteLength);
    const pieces = Array.from({ length: 31 }, (_, at) => file.subarray(at * 100_000, (at + 1) * 100_000));
    expect((await opened.store.add(bytesOf(...pieces))).cid).toBe(cid);
    expect((await buffer(opened.store.get(cid))).equals(file)).toBe(true);
    for (const [start, end] of [
      [0, 0],
      [262_143, 262_144],
      [1_000_000, 2_999_999],
      [3_000_000, 3_000_000],
    ] as const) {
      expect((await buffer(opened.store.get(cid, { start, end }))).equals(file.subarray(start, end + 1))).toBe(true);
    }
    expect((await buffer(opened.store.get(cid, { start: 2_999_990 }))).equals(file.subarray(2_999_990))).toBe(true);
  });

  test("what is not there", async () => {
    expect(await opened.store.stat(ABSENT)).toBeUndefined();
    expect(await opened.store.block(ABSENT)).toBeUndefined();
    expect(await codeOf(buffer(opened.store.get(ABSENT)))).toBe("PAY-1302");
  });

  test.each(["", "hello", "../../etc/passwd", "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5", "bafkqaaa"])(
    "refuses %j as a CID",
    async (cid) => {
      expect(await codeOf(opened.store.stat(cid))).toBe("PAY-1301");
      expect(await codeOf(opened.store.block(cid))).toBe("PAY-1301");
    },
  );

  test("blocks have the hash of their name", async () => {
    await opened.store.add(bytesOf("hello world\n"));
    const block = await opened.store.block(HELLO);
    expect(
      createHash("sha256")
        .update(block ?? "")
        .digest("hex"),
    ).toBe("46d44814b9c5af141c3aaab7c05dc5e844ead5f91f12858b021eba45768b4c0e");
  });

  test("a failing source fails the add with its own error", async () => {
    const failing = async function* (): AsyncGenerator<Buffer> {
      yield noise(300_000);
      throw new Error("source broke");
    };
    await expect(opened.store.add(failing())).rejects.toThrow("source broke");
  });

  test("an aborted add rejects with the reason", async () => {
    const abort = new AbortController();
    const endless = async function* (): AsyncGenerator<Buffer> {
      for (let at = 0; ; at++) {
        if (at === 3) abort.abort(new Error("enough"));
        yield noise(300_000);
      }
    };
    await expect(opened.store.add(endless(), abort.signal)).rejects.toThrow("enough");
  });
});

describe("the local store", () => {
  test("keeps its content over a restart, notices damage, and repairs it by the next add", async () => {
    const dir = await freshFolder();
    const file = noise(600_000);
    const first = await openIpfsStore({ dir });
    const { cid } = await first.add(bytesOf(file));
    await first.close();

    const second = await openIpfsStore({ dir });
    expect(await second.stat(cid)).toEqual({ bytes: 600_000 });
    const blocks = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith(".data"));
    expect(blocks.length).toBe(4);
    for (const block of blocks.slice(0, 2)) await truncate(join(dir, block), 10);
    expect(["PAY-1305", "PAY-1302"]).toContain(await codeOf(buffer(second.get(cid))));
    await second.add(bytesOf(file));
    expect((await buffer(second.get(cid))).equals(file)).toBe(true);
  });

  test("a file with a missing block is not there", async () => {
    const dir = await freshFolder();
    const store = await openIpfsStore({ dir });
    const { cid } = await store.add(bytesOf(noise(600_000)));
    const [block = ""] = (await readdir(dir, { recursive: true })).filter((name) => name.endsWith(".data"));
    await rm(join(dir, block));
    expect(await store.stat(cid)).toBeUndefined();
  });

  test("says so when its folder is a file", async () => {
    const path = join(await freshFolder(), "file");
    await writeFile(path, "");
    expect(await codeOf(openIpfsStore({ dir: path }))).toBe("PAY-1306");
  });
});

describe("the Kubo client", () => {
  test("names the node when it does not answer", async () => {
    const store = createKuboIpfs({ apiUrl: "http://127.0.0.1:1" });
    expect(await codeOf(store.add(bytesOf("x")))).toBe("PAY-1304");
    expect(await codeOf(store.stat(HELLO))).toBe("PAY-1304");
    await store.close();
  });
});
