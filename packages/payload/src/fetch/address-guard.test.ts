import fc from "fast-check";
import { expect, test } from "vitest";
import { isPublicAddress } from "./address-guard.ts";

test.each([
  "127.0.0.1",
  "127.255.255.254",
  "0.0.0.0",
  "10.1.2.3",
  "172.16.0.1",
  "192.168.1.1",
  "169.254.169.254",
  "100.64.0.1",
  "192.0.0.1",
  "198.18.0.1",
  "224.0.0.1",
  "240.0.0.1",
  "255.255.255.255",
  "::",
  "::1",
  "::102:304",
  "::ffff:127.0.0.1",
  "::ffff:10.0.0.1",
  "64:ff9b::7f00:1",
  "2002:7f00:1::",
  "2001::1",
  "2001:db8::1",
  "fe80::1",
  "fe80::1%eth0",
  "fec0::1",
  "fc00::1",
  "fd00:ec2::254",
  "ff02::1",
  "localhost",
  "",
])("%s is not public", (address) => expect(isPublicAddress(address)).toBe(false));

test.each(["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "2a00:1450:4007::1"])("%s is public", (address) =>
  expect(isPublicAddress(address)).toBe(true),
);

test("an IPv4 address means the same inside an IPv6 one", () => {
  fc.assert(fc.property(fc.ipV4(), (address) => void expect(isPublicAddress(`::ffff:${address}`)).toBe(isPublicAddress(address))));
});
