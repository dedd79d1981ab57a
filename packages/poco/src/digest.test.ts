import fc from "fast-check";
import { sha256, stringToBytes } from "viem";
import { describe, expect, test } from "vitest";
import { callbackDigest, determinismDigest, directoryDigest } from "./digest.ts";

const file = (name: string, content: string) => ({ name, sha256: sha256(stringToBytes(content)) });
const EMPTY = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";

describe("a result folder (compute.md V1, V2)", () => {
  test("V1: the digest of one file is its SHA-256", () => {
    expect(file("result.txt", "Hello, iExec!\n").sha256).toBe("0x7f6aa116d9bcbd06ae7737dec5d8294b9ffe855e84bae1b5027c885fb1f932d3");
  });

  test("V2: hidden and empty files count, folders do not", () => {
    const entries = [
      file("é.txt", "e"),
      { name: "sub", sha256: undefined },
      file("empty", ""),
      file("a.txt", "a"),
      file("B.txt", "B"),
      file("9.txt", "9"),
      file("10.txt", "10"),
      file(".hidden", "h"),
    ];
    expect(entries.map((entry) => entry.sha256)).toContain("0xaaa9402664f1a41f40ebbc52c9993eb66aeb366602958fdfaa283b71e64db123");
    expect(directoryDigest(entries)).toBe("0x19a981ea48ae8f65686940db8e4327bb2b726840a6b99e706fe051e63bd8250d");
  });

  test("V2b: names are ordered by UTF-16 units, not by bytes", () => {
    const entries = [file("ﬀ.txt", "y"), file("a.txt", "a"), file("\u{10000}.txt", "z")];
    expect(directoryDigest(entries)).toBe("0x676591dbd4d55d6c01cce321f1d9273688bca439994d80b16ba177065eedcbae");
    expect(directoryDigest(entries)).not.toBe("0x30572dc745a4df9b79c8aac074198158aed5c3df6c562643a6fd1205a6a33d3c");
  });

  test("V2c: an empty folder has a digest", () => {
    expect(directoryDigest([])).toBe(EMPTY);
  });

  test("V2d: the whole output folder", () => {
    const entries = [
      file("stdout.txt", "done\n"),
      file("result.txt", "Hello, iExec!\n"),
      file("computed.json", '{"deterministic-output-path":"/iexec_out"}'),
    ];
    expect(directoryDigest(entries)).toBe("0x9ced4f978d45cca75cff6a1b4f1e325d0fdfdb8fc91274e9a85534d042b1bbf1");
  });

  test("the order of reading does not matter", () => {
    const names = fc.uniqueArray(fc.string({ unit: "binary", minLength: 1, maxLength: 8 }), { maxLength: 12 });
    fc.assert(
      fc.property(names, fc.integer(), (list, seed) => {
        const entries = list.map((name) => file(name, name));
        const moved = [...entries].sort((a, b) => ((a.name.length * seed) % 7) - ((b.name.length * seed) % 7));
        expect(directoryDigest(moved)).toBe(directoryDigest(entries));
      }),
    );
  });
});

describe("V3: callback data", () => {
  test.each([
    [`0x${"0".repeat(63)}1`, `0x${"0".repeat(63)}1`, "0xb10e2d527612073b26eecdfd717e6a320cf44b4afac2b0732d9fcbe2b7fa0cf6"],
    ["0x", "0x", EMPTY],
    ["0xabc", "0x0abc", "0xe91cf08aac85935e32397f410e48217a127b6855d41b1e3877eb4179c0904b77"],
    ["abcd", "0xabcd", "0xdbe576b4818846aa77e82f4ed5fa78f92766b141f282d36703886d196df39322"],
    ["0xABCD", "0xabcd", "0xdbe576b4818846aa77e82f4ed5fa78f92766b141f282d36703886d196df39322"],
    ["0X12", "0xff12", "0x443634b0dd8b89ab80ce1b22848c33bf5ddb9ee81e2ef72b2b21117d14d766db"],
    ["hello", "0xffdfef", "0xd81eea834ace52ac9a6e196d18b464723a98256be58e8210e9b4b77423c1fea9"],
    ["0x12zz", "0x12ef", "0x47619ff7225b35d9270031bdbcb5449a521ede3c819b972d0eb7f3eb2a8eec2d"],
  ])("%s", (text, bytes, digest) => {
    expect(callbackDigest(text)).toEqual({ digest, bytes });
  });

  test("an empty text is no result", () => {
    expect(callbackDigest("")).toBeUndefined();
  });
});

describe("V5: determinism.iexec", () => {
  const AB = `0x${"ab".repeat(32)}`;
  test.each([
    [AB, AB],
    [`${AB}\n`, AB],
    ["ab".repeat(32), AB],
    [`${"ab".repeat(32)}\n`, AB],
    ["hello", "0xa6738a340f7866bc5bc8ac2f3b672dfd6f77cbcd5a07b8aca55beb7564f7f46b"],
    ["hello\n", "0xa6738a340f7866bc5bc8ac2f3b672dfd6f77cbcd5a07b8aca55beb7564f7f46b"],
    ["hell", "0x4be105e1d2ef2713df955429342e2e26402bf6acb69610f297849acbdc7eca0e"],
    ["", "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"],
    ["\n", "0xa8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89"],
    ["a\n\n", "0x1f184f101c67d585ba00d24cfde36863f747fbab9e84af7760ec771e9b36ca51"],
    ["0xdeadbeef", "0x5f78c33274e43fa9de5659265c1d917e25c03722dcb0b8d27db8d5feaa813953"],
    ["Z".repeat(64), `0x${"ef".repeat(32)}`],
    ["face at 12,34\n", "0x41a95d0b0991148d8726e6c7f514295fcb1fff58db5b8be957e8d6f04e2f4282"],
  ])("%j", (content, digest) => {
    expect(determinismDigest(stringToBytes(content))).toBe(digest);
  });

  test("bytes that are no UTF-8 are hashed as they are", () => {
    expect(determinismDigest(Uint8Array.of(0xff, 0xfe, 0x41))).toBe("0xe338b52c1bba42031362180fb1465d6e8b382881cb2f2601e30e971f21e4901c");
  });
});
