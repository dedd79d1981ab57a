import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { checkLinks, slug } from "./links.ts";

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "links-"));
  mkdirSync(join(root, "docs"));
  writeFileSync(join(root, "docs/b.md"), "# Title `x`, again!\n## Same\n## Same\n");
});
afterAll(() => rmSync(root, { recursive: true }));

test("good links, code and other hosts pass", () => {
  writeFileSync(
    join(root, "a.md"),
    "[b](docs/b.md) [t](docs/b.md#title-x-again) [s](docs/b.md#same-1) [up](https://example.org/none) `[no](none.md)`\n```\n[no](none.md)\n```\n[r]\n\n[r]: docs\n",
  );
  expect(checkLinks(root)).toEqual({ files: 2, links: 4, broken: [] });
});

test("missing files and headings are named", () => {
  writeFileSync(join(root, "a.md"), "[b](docs/c.md) [t](docs/b.md#none) [here](#nowhere)\n");
  expect(checkLinks(root).broken).toHaveLength(3);
});

test("headings become GitHub's anchors", () => {
  expect(slug("What `./run` does, step by step")).toBe("what-run-does-step-by-step");
});
