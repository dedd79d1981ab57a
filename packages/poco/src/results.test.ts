import { sha256, stringToBytes, stringToHex } from "viem";
import { describe, expect, test } from "vitest";
import { parseDatasetUri } from "./dataset-uri.ts";
import { type ContributedFailure, type ErrorTextVersion, errorResultText } from "./error-result.ts";
import { formatResultLink, MAX_RESULT_LINK_LENGTH, parseIpfsLocation, parseResultLink } from "./result-link.ts";
import type { Hex } from "./structs.ts";

const CID = "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn";
const MULTIHASH = "122059948439065f29619ef41280cbb932be52c56d99c5966b65e0111239f098bbef";
const CID_V1 = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354";

describe("V4: fabricated error results", () => {
  test.each<[ErrorTextVersion, ContributedFailure, number, string]>([
    ["9.2", "APP_IMAGE_DOWNLOAD_FAILED", 143, "0x6b234cc858ad3404f912dd7f119afe2178251bec64cb25e5cbeba61dd764fc5d"],
    ["9.1", "APP_IMAGE_DOWNLOAD_FAILED", 112, "0x95011a7ce01277ba00c21bef4e116812e0bcf6eb44b202f56e1879b17f5c0561"],
    ["9.0", "APP_IMAGE_DOWNLOAD_FAILED", 108, "0xb46b470f39c43c347a858b3953dbca528abb5d5faf0c60f6895b4835e7f34993"],
    ["9.2", "DATASET_FILE_DOWNLOAD_FAILED", 147, "0x8e3ac3704dc9fd9bdec06799b85a570e7f67f3ff8cd751b11af241dddbe4996e"],
    ["9.2", "DATASET_FILE_BAD_CHECKSUM", 144, "0xc276b4a3cbe341163601818dfa3d7f5f8db8cc35f00c9c30666864e39c96b565"],
    ["9.2", "INPUT_FILES_DOWNLOAD_FAILED", 146, "0x0667139fc3aade5e376044a41fbf2b37df1f191ee28f04debc01c1d5c64c0a54"],
  ])("%s %s", (version, cause, length, digest) => {
    const bytes = stringToBytes(errorResultText(cause, version));
    expect([bytes.length, sha256(bytes)]).toEqual([length, digest]);
  });
});

describe("result links", () => {
  test("exact text", () => {
    expect(formatResultLink({ cid: CID })).toBe(`{ "storage": "ipfs", "location": "/ipfs/${CID}" }`);
    expect(formatResultLink({ callback: "0xABCDEF0000000000000000000000000000000001" })).toBe(
      '{ "storage": "ethereum", "location": "0xabcdef0000000000000000000000000000000001" }',
    );
  });

  test("what we write, we read", () => {
    for (const cid of [CID, CID_V1]) {
      expect(parseResultLink(formatResultLink({ cid }))).toEqual({ storage: "ipfs", location: `/ipfs/${cid}`, cid });
    }
    const callback = "0xabcdef0000000000000000000000000000000001";
    expect(parseResultLink(formatResultLink({ callback }))).toEqual({ storage: "ethereum", callback });
  });

  test.each([
    "",
    "null",
    "[]",
    `/ipfs/${CID}`,
    `{"storage":"ipfs","location":"https://evil/ipfs/${CID}"}`,
    `{"storage":"ipfs","location":"/ipfs/${CID}/../x"}`,
    `{"storage":"ipfs","location":"/ipfs/${CID}\\n"}`,
    `{"storage":"dropbox","location":"/results/0x1"}`,
    `{"storage":"ethereum","location":"javascript:alert(1)"}`,
    `{"storage":"ipfs","location":"/ipfs/${CID}"}${" ".repeat(MAX_RESULT_LINK_LENGTH)}`,
  ])("%.60j is none", (text) => {
    expect(parseResultLink(text)).toBeUndefined();
  });

  test("the proxy's answer", () => {
    expect(parseIpfsLocation(`/ipfs/${CID}`)).toBe(CID);
    for (const bad of [CID, `/ipfs/${CID}/`, ` /ipfs/${CID}`, "/ipfs/", "/ipns/x"]) expect(parseIpfsLocation(bad)).toBeUndefined();
  });
});

describe("dataset addresses", () => {
  test.each<[string, Hex]>([
    ["binary, CIDv0", `0xa50322${MULTIHASH}`],
    ["text", stringToHex(`/ipfs/${CID}`)],
    ["text, older name", stringToHex(`/p2p/${CID}`)],
  ])("%s", (_, multiaddr) => {
    expect(parseDatasetUri(multiaddr)).toEqual({ kind: "ipfs", cid: CID, path: "" });
  });

  test("binary, CIDv1", () => {
    expect(parseDatasetUri(`0xa503240170${MULTIHASH}`)).toEqual({ kind: "ipfs", cid: CID_V1, path: "" });
  });

  test("a file inside a CID", () => {
    expect(parseDatasetUri(stringToHex(`/ipfs/${CID}/a/b.csv`))).toEqual({ kind: "ipfs", cid: CID, path: "/a/b.csv" });
  });

  test("a URL", () => {
    expect(parseDatasetUri(stringToHex("https://example.com/d.bin?x=1"))).toEqual({ kind: "url", url: "https://example.com/d.bin?x=1" });
  });

  test.each<Hex>([
    "0x",
    "0xff",
    "0xa503",
    `0xa50321${MULTIHASH}`,
    `0xa50322${MULTIHASH}00`,
    stringToHex("file:///etc/passwd"),
    stringToHex("ftp://a/b"),
    stringToHex("/ip4/127.0.0.1/tcp/80"),
    stringToHex(`/ipfs/${CID}/a\0b`),
    stringToHex("https://"),
    stringToHex(`https://a/${"x".repeat(5000)}`),
  ])("%.40s names no file", (multiaddr) => {
    expect(parseDatasetUri(multiaddr)).toBeUndefined();
  });
});
