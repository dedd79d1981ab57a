import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatImageReference, normaliseImage, parseImageReference, registryOf } from "./image-reference.ts";

const SHA = `sha256:${"0a".repeat(32)}`;

describe("parseImageReference", () => {
  test.each([
    ["alpine:3.20", "docker.io", "library/alpine", "3.20", undefined],
    ["iexechub/python-hello-world:8.0.0", "docker.io", "iexechub/python-hello-world", "8.0.0", undefined],
    ["docker.io/x/y:1.0", "docker.io", "x/y", "1.0", undefined],
    ["registry.hub.docker.com/x/y:1.0", "registry.hub.docker.com", "x/y", "1.0", undefined],
    ["localhost:5000/app:dev", "localhost:5000", "app", "dev", undefined],
    ["localhost/app:dev", "localhost", "app", "dev", undefined],
    [`ghcr.io/a/b@${SHA}`, "ghcr.io", "a/b", undefined, SHA],
    [`ghcr.io/a/b:1@${SHA}`, "ghcr.io", "a/b", "1", SHA],
  ])("%s", (text, registry, repository, tag, digest) => {
    expect(parseImageReference(text)).toEqual({ registry, repository, tag, digest });
  });

  test.each([
    "",
    "alpine",
    "alpine:",
    ":1",
    "a/b",
    "A/b:1",
    "a//b:1",
    "../b:1",
    "a b:1",
    "a:1 --privileged",
    "-x/y:1",
    "http://a/b:1",
    "a:1@sha256:00",
    `a@${SHA}@${SHA}`,
    "reg:99999999/a:1",
    `a:${"1".repeat(200)}`,
    `${"a/".repeat(300)}b:1`,
  ])("%.40j is no reference", (text) => {
    expect(parseImageReference(text)).toBeUndefined();
  });

  test("the full form reads back the same, and any text is answered", () => {
    const part = fc.stringMatching(/^[a-z0-9]{1,8}$/);
    fc.assert(
      fc.property(
        fc.constantFrom("", "localhost:5000/", "ghcr.io/"),
        fc.array(part, { minLength: 1, maxLength: 3 }),
        part,
        (host, path, tag) => {
          const parsed = parseImageReference(`${host}${path.join("/")}:${tag}`);
          expect(parsed).toBeDefined();
          if (parsed !== undefined) expect(parseImageReference(formatImageReference(parsed))).toEqual(parsed);
        },
      ),
    );
    fc.assert(fc.property(fc.string(), (text) => parseImageReference(text) === undefined || /[:@]/.test(text)));
  });
});

test.each([
  ["alpine:3.20", "docker.io"],
  ["a/b:1", "docker.io"],
  ["localhost/b:1", "localhost"],
  ["reg:5000/b:1", "reg:5000"],
  ["registry.scontain.com/b:1", "registry.scontain.com"],
])("registry of %s is %s", (text, registry) => {
  expect(registryOf(text)).toBe(registry);
});

test.each([
  ["docker.io/library/alpine:1", "alpine:1"],
  ["library/alpine:1", "alpine:1"],
  ["docker.io/a/b:1", "a/b:1"],
  ["ghcr.io/library/b:1", "ghcr.io/library/b:1"],
])("%s is listed as %s", (text, short) => {
  expect(normaliseImage(text)).toBe(short);
});
