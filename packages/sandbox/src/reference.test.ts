import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalRegistry, parseReference, referencePath } from "./reference.ts";

const DIGEST = `sha256:${"ab".repeat(32)}`;

test.each([
  ["x", "x", "latest", "docker.io"],
  ["iexechub/python-hello-world:8.0.0", "iexechub/python-hello-world", "8.0.0", "docker.io"],
  ["docker.io/x/y:1.0", "docker.io/x/y", "1.0", "docker.io"],
  ["registry.hub.docker.com/x/y:1.0", "registry.hub.docker.com/x/y", "1.0", "registry.hub.docker.com"],
  ["localhost/x", "localhost/x", "latest", "localhost"],
  ["host:5000/x:y", "host:5000/x", "y", "host:5000"],
  [`x/y@${DIGEST}`, "x/y", DIGEST, "docker.io"],
  [`host:5000/x/y:1@${DIGEST}`, "host:5000/x/y", DIGEST, "host:5000"],
])("%s", (image, repository, version, registry) => {
  expect(parseReference(image)).toEqual({ repository, version, registry });
});

test.each(["", "UPPER", "a b", "a:", "a@sha256:12", "https://a/b", "-x", "../etc", "a/../b", "a?x=1", "a:t%2f", "a/b:x/y"])(
  "%j is no reference",
  (image) => {
    expect(() => parseReference(image)).toThrow(expect.objectContaining({ code: "SBX-1108" }));
  },
);

test("aliases of Docker Hub share credentials", () => {
  expect(["https://index.docker.io/v1/", "docker.io", "registry-1.docker.io"].map(canonicalRegistry)).toEqual(Array(3).fill("docker.io"));
});

test("whatever is accepted is safe in a path and names the same image again", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(..."ab1./:@-_ %?#A"), maxLength: 30 }), (image) => {
      let reference: ReturnType<typeof parseReference>;
      try {
        reference = parseReference(image);
      } catch {
        return;
      }
      const path = referencePath(reference);
      expect(path).toMatch(/^[\w./:@-]+$/);
      expect(path).not.toMatch(/\.\.\/|\/\//);
      expect(parseReference(path)).toEqual(reference);
    }),
  );
});
