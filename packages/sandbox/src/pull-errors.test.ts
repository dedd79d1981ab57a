import { expect, test } from "vitest";
import { pullError } from "./pull-errors.ts";
import { parseReference } from "./reference.ts";

const REFERENCE = parseReference("127.0.0.1:5000/a/b:1");

// Texts of Docker Engine 20.10 as seen on the wire, and of later engines as documented.
test.each([
  ["manifest for 127.0.0.1:5000/a/b:1 not found: manifest unknown: manifest unknown", "SBX-1101"],
  ["repository name not known to registry: name unknown", "SBX-1101"],
  ['Head "http://127.0.0.1:5000/v2/a/b/manifests/1": no basic auth credentials', "SBX-1102"],
  ["unauthorized: authentication required", "SBX-1102"],
  ["pull access denied for a/b, repository does not exist or may require 'docker login': denied: requested access is denied", "SBX-1102"],
  ['Get "http://127.0.0.1:5000/v2/": dial tcp 127.0.0.1:5000: connect: connection refused', "SBX-1103"],
  ['Get "https://nohost.invalid/v2/": dial tcp: lookup nohost.invalid on 10.0.0.2:53: no such host', "SBX-1103"],
  ["received unexpected HTTP status: 503 Service Unavailable", "SBX-1103"],
  ["failed to register layer: write /usr/lib/x: no space left on device", "SBX-1105"],
  ["no matching manifest for linux/amd64 in the manifest list entries", "SBX-1106"],
  ["toomanyrequests: You have reached your pull rate limit", "SBX-1109"],
  ["something new", "SBX-1107"],
])("%s", (text, code) => {
  expect(pullError("127.0.0.1:5000/a/b:1", REFERENCE, "linux/amd64", text).code).toBe(code);
});
