import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { CodedError } from "@iexec-ts/service";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareVersions, type Manifest, manifestSchema, openManifest } from "./release.ts";

const NOW = new Date("2026-06-01T00:00:00Z");
const publisher = generateKeyPairSync("ed25519");
const stranger = generateKeyPairSync("ed25519");
const pem = (key: KeyObject) => key.export({ type: "spki", format: "pem" }).toString();
const FILE = { path: "iexec-worker.mjs", bytes: 3, sha256: "a".repeat(64) };
const MANIFEST: Manifest = {
  schema: 1,
  program: "iexec-worker",
  version: "1.2.3",
  released: "2026-05-01T00:00:00Z",
  expires: "2026-12-01T00:00:00Z",
  files: [FILE],
};

function opened(manifest: unknown, options: { key?: KeyObject; change?: (bytes: Buffer) => Buffer; signature?: string } = {}): unknown {
  const bytes = Buffer.from(JSON.stringify(manifest));
  const signature = options.signature ?? sign(null, bytes, options.key ?? publisher.privateKey).toString("base64");
  try {
    return openManifest({ bytes: options.change?.(bytes) ?? bytes, signature, url: "http://releases" }, pem(publisher.publicKey), NOW);
  } catch (thrown) {
    return thrown instanceof CodedError ? `${thrown.code} ${String(thrown.args.reason)}` : thrown;
  }
}

describe("a manifest", () => {
  test("of the publisher is read", () => expect(opened(MANIFEST)).toEqual(MANIFEST));

  test("signed by somebody else, or not at all, is refused", () => {
    expect(opened(MANIFEST, { key: stranger.privateKey })).toMatch(/^WRK-1703 its signature/);
    for (const signature of ["", "AAAA", "!", "A".repeat(88)]) expect(opened(MANIFEST, { signature })).toMatch(/^WRK-1703 its signature/);
  });

  test("of which any bit was changed is refused", () => {
    const { length } = JSON.stringify(MANIFEST);
    fc.assert(
      fc.property(fc.nat(length - 1), fc.integer({ min: 0, max: 7 }), (at, bit) => {
        const change = (bytes: Buffer) => {
          const changed = Buffer.from(bytes);
          changed[at] = (changed[at] ?? 0) ^ (1 << bit);
          return changed;
        };
        expect(opened(MANIFEST, { change })).toMatch(/^WRK-1703/);
      }),
    );
  });

  test("that expired is refused", () => {
    expect(opened({ ...MANIFEST, expires: "2026-05-31T23:59:59Z" })).toBe("WRK-1703 it expired on 2026-05-31T23:59:59Z");
  });

  test.each([
    ["of another program", { program: "iexec-core" }],
    ["of another version of the format", { schema: 2 }],
    ["without a proper version", { version: "1.2" }],
    ["without the program", { files: [{ ...FILE, path: "other.mjs" }] }],
    ["with one path twice", { files: [FILE, FILE] }],
    ["with a file that is too large", { files: [{ ...FILE, bytes: 2 ** 40 }] }],
    ["with a member nobody knows", { note: "x" }],
  ])("%s is refused though it is signed", (_, changes) => {
    expect(opened({ ...MANIFEST, ...changes })).toMatch(/^WRK-1703 its manifest is malformed/);
  });

  test("names no file outside its folder", () => {
    const bad = ["../x", "a/../../x", "/etc/passwd", "a//b", ".hidden", "a/.b", "", "a\\b", "a\nb", "a/", "./a"];
    for (const path of bad) expect(manifestSchema.safeParse({ ...MANIFEST, files: [FILE, { ...FILE, path }] }).success, path).toBe(false);
    fc.assert(
      fc.property(fc.string(), (path) => {
        if (!manifestSchema.safeParse({ ...MANIFEST, files: [FILE, { ...FILE, path }] }).success) return;
        expect(path.split("/").every((part) => part !== "" && !part.startsWith("."))).toBe(true);
      }),
    );
  });
});

test("versions are compared as numbers, and the order is total", () => {
  expect(compareVersions("0.10.0", "0.9.9")).toBe(1);
  const version = fc.tuple(fc.nat(999), fc.nat(999), fc.nat(999)).map((parts) => parts.join("."));
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      expect(compareVersions(a, b) + compareVersions(b, a)).toBe(0);
      expect(compareVersions(a, b) === 0).toBe(a === b);
      if (compareVersions(a, b) >= 0 && compareVersions(b, c) >= 0) expect(compareVersions(a, c)).toBeGreaterThanOrEqual(0);
    }),
  );
});
