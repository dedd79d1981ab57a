import { chainTime, nanoRlc } from "@iexec-ts/poco";
import { describe, expect, test } from "vitest";
import { type Offer, type Policy, whyNot } from "./policy.ts";

const address = (digit: string): `0x${string}` => `0x${digit.repeat(40)}`;
const open: Policy = {
  minPrice: 0n,
  allowRequesters: [],
  denyRequesters: [],
  allowApps: [],
  denyApps: [],
  categories: [],
  maxTaskMs: undefined,
  onlyDigestApps: false,
};
const asset = (pointer: `0x${string}`) => ({ pointer, owner: address("1"), price: nanoRlc(500n) });
const offer: Offer = {
  deal: { requester: address("a"), category: 2n, app: asset(address("b")), workerpool: asset(address("c")) },
  category: { period: BigInt(chainTime(3_600n)) },
  app: { multiaddr: "docker.io/library/alpine:3.20" },
};

describe("the policy", () => {
  test("without wishes takes everything", () => {
    expect(whyNot(open, offer)).toBeUndefined();
  });

  test.each<[string, Partial<Policy>, boolean]>([
    ["a price that is high enough", { minPrice: 500n }, true],
    ["a price that is too low", { minPrice: 501n }, false],
    ["a requester on the deny-list", { denyRequesters: [address("a")] }, false],
    ["the only requester", { allowRequesters: [address("A"), address("d")] }, true],
    ["a requester that is not on the allow-list", { allowRequesters: [address("d")] }, false],
    ["an app on the deny-list", { denyApps: [address("b")] }, false],
    ["an app that is not on the allow-list", { allowApps: [address("d")] }, false],
    ["a category", { categories: [1, 2] }, true],
    ["another category", { categories: [1, 3] }, false],
    ["a time that is long enough", { maxTaskMs: 3_600_000 }, true],
    ["a time that is too long", { maxTaskMs: 3_599_999 }, false],
    ["an image by its tag", { onlyDigestApps: true }, false],
  ])("%s", (_, wishes, taken) => {
    expect(whyNot({ ...open, ...wishes }, offer) === undefined).toBe(taken);
  });

  test("an image by its digest", () => {
    const multiaddr = `docker.io/library/alpine@sha256:${"0".repeat(64)}`;
    expect(whyNot({ ...open, onlyDigestApps: true }, { ...offer, app: { multiaddr } })).toBeUndefined();
    expect(whyNot({ ...open, onlyDigestApps: true }, { ...offer, app: undefined })).toBeDefined();
  });
});
