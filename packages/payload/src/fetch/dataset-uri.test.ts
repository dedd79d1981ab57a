import { expect, test } from "vitest";
import { datasetUriOf, downloadCandidates, printableUrl } from "./dataset-uri.ts";

const hex = (text: string): `0x${string}` => `0x${Buffer.from(text).toString("hex")}`;

test("a binary multiaddr becomes an /ipfs/ path", () => {
  const multihash = "122046d44814b9c5af141c3aaab7c05dc5e844ead5f91f12858b021eba45768b4c0e";
  expect(datasetUriOf(`0xa50322${multihash}`)).toBe("/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o");
});

test.each(["https://example.com/data.csv", "/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o"])("text stays text: %j", (uri) =>
  expect(datasetUriOf(hex(uri))).toBe(uri),
);

test("an /ipfs/ path is tried at each gateway in order", () => {
  expect(downloadCandidates("/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o", ["https://a.example", "https://b.example/"])).toEqual([
    "https://a.example/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o",
    "https://b.example/ipfs/QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o",
  ]);
});

test("secrets in a URL are not printed", () => {
  expect(printableUrl("https://user:pass@example.com/a?token=s3cret#f")).toBe("https://example.com/a");
});
