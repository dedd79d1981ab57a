import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:net";
import { CodedError, systemClock } from "@iexec-ts/service";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { memoryImageUses } from "./image-uses.ts";
import type { DockerSandboxOptions } from "./options.ts";
import { type DockerWorld, dockerWorld } from "./test/docker-world.ts";
import { docker, importTestImage, removeTestImage } from "./test/test-image.ts";
import { freePort, startTestRegistry, type TestRegistry } from "./test/test-registry.ts";

const LOCAL = `sandbox-pull-${randomBytes(4).toString("hex")}:1`;
const ALICE = { username: "alice", password: randomBytes(12).toString("hex") };
const TIMEOUT = { timeoutMs: 60_000 };
let open: TestRegistry;
let guarded: TestRegistry;
let publicImage: string;
let privateImage: string;
let world: DockerWorld;

beforeAll(async () => {
  [open, guarded] = await Promise.all([startTestRegistry(), startTestRegistry(ALICE)]);
  await importTestImage(LOCAL);
  publicImage = await open.push(LOCAL, "apps/shell", "1");
  privateImage = await guarded.push(LOCAL, "apps/shell", "1");
});
afterAll(async () => {
  await Promise.all([open.stop(), guarded.stop()]);
  for (const image of [publicImage, privateImage, LOCAL]) await removeTestImage(image);
});
beforeEach(async () => {
  world = dockerWorld();
  for (const image of [publicImage, privateImage]) await removeTestImage(image);
});
afterEach(() => world.close());

const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => "no error",
    (thrown: unknown) => (thrown instanceof CodedError ? thrown.code : thrown),
  );
const pull = (image: string, options: DockerSandboxOptions = {}) => world.open(options).pull(image, TIMEOUT);
const credentials = (password: string) => ({ registryCredentials: [{ registry: guarded.address, username: ALICE.username, password }] });

test("by tag and by digest", async () => {
  const byTag = await pull(publicImage);
  expect(byTag).toMatchObject({ stale: false });
  const [digest = ""] = byTag.digests.filter((name) => name.startsWith(open.address));
  expect(digest).toMatch(/@sha256:[0-9a-f]{64}$/);
  await removeTestImage(publicImage);
  expect(await pull(digest)).toMatchObject({ id: byTag.id, stale: false });
  const running = await world.open().run(world.spec(digest, "echo pinned"));
  expect((await running.wait()).stdout.text).toBe("pinned\n");
  await running.remove();
  await removeTestImage(digest);
});

test.each([
  ["a tag that does not exist", () => `${open.address}/apps/shell:none`, "SBX-1101"],
  ["a repository that does not exist", () => `${open.address}/apps/none:1`, "SBX-1101"],
  ["a digest that does not exist", () => `${open.address}/apps/shell@sha256:${"0".repeat(64)}`, "SBX-1101"],
  ["a private image without credentials", () => privateImage, "SBX-1102"],
  ["a registry that does not listen", () => "127.0.0.1:1/apps/shell:1", "SBX-1103"],
  ["not a reference", () => "https://example.org/Image", "SBX-1108"],
])("%s", async (_, image, code) => {
  expect(await codeOf(pull(image()))).toBe(code);
});

test("a private image with credentials, which appear in no error and no description of a container", async () => {
  expect(await pull(privateImage, credentials(ALICE.password))).toMatchObject({ stale: false });
  const running = await world.open(credentials(ALICE.password)).run(world.spec(privateImage, "true"));
  expect(JSON.stringify(await docker.getContainer(running.id).inspect())).not.toContain(ALICE.password);
  await running.wait();
  await running.remove();
});

test("wrong credentials", async () => {
  const failure = await pull(privateImage, credentials("wrong-password")).catch((thrown: unknown) => thrown);
  expect(await codeOf(Promise.reject(failure))).toBe("SBX-1102");
  expect(JSON.stringify(failure) + String(failure)).not.toContain("wrong-password");
});

test("wrong credentials do not keep a public image away", async () => {
  const registryCredentials = [{ registry: open.address, username: "nobody", password: "nothing" }];
  expect(await pull(publicImage, { registryCredentials })).toMatchObject({ stale: false });
});

test("an image that is here although its registry is gone is stale", async () => {
  const reference = `127.0.0.1:1/apps/shell:${randomBytes(4).toString("hex")}`;
  const [repo = "", tag = ""] = reference.split(/:(?=[^/:]*$)/);
  await docker.getImage(LOCAL).tag({ repo, tag });
  expect(await pull(reference)).toMatchObject({ stale: true });
  await removeTestImage(reference);
});

test("a registry that never answers", async () => {
  const port = await freePort();
  const silent = await listen(port);
  expect(await codeOf(world.open().pull(`127.0.0.1:${port}/apps/shell:1`, { timeoutMs: 500 }))).toBe("SBX-1104");
  const abort = new AbortController();
  const pulling = codeOf(world.open().pull(`127.0.0.1:${port}/apps/shell:1`, TIMEOUT, abort.signal));
  abort.abort("enough");
  expect(await pulling).toBe("enough");
  silent.close();
});

test("an image for another processor", async () => {
  const foreign = await importForeign();
  const image = await open.push(foreign, "apps/foreign", "1");
  expect(await codeOf(pull(image))).toBe("SBX-1106");
  expect(await codeOf(world.open().run(world.spec(image, "true")))).toBe("SBX-1106");
  for (const name of [image, foreign]) await removeTestImage(name);
});

test("only images that this worker pulled are pruned, the least used first", async () => {
  const second = await open.push(LOCAL, "apps/second", "1");
  await importTestImage(LOCAL.replace("-pull-", "-other-"), ["ENV OTHER=1"]);
  const other = await open.push(LOCAL.replace("-pull-", "-other-"), "apps/other", "1");
  for (const name of [second, other, LOCAL, LOCAL.replace("-pull-", "-other-")]) await removeTestImage(name);

  let now = Date.now();
  const clock = { ...systemClock, now: () => new Date(now) };
  const imageUses = memoryImageUses();
  const sandbox = world.open({}, { clock, imageUses });
  const shell = await sandbox.pull(publicImage, TIMEOUT);
  now += 1_000;
  const later = await sandbox.pull(other, TIMEOUT);
  expect(await sandbox.pruneImages({ budgetBytes: later.bytes * 2, keep: new Set() })).toEqual([]);
  expect(await sandbox.pruneImages({ budgetBytes: later.bytes, keep: new Set() })).toEqual([shell.id]);
  expect(await sandbox.pruneImages({ budgetBytes: 0, keep: new Set([other]) })).toEqual([]);
  expect(await sandbox.findImage(other)).toMatchObject({ id: later.id });
  expect(await sandbox.findImage(publicImage)).toBeUndefined();

  // The operator's image: there before we asked for it.
  const operators = world.open({}, { clock, imageUses: memoryImageUses() });
  await operators.pull(other, TIMEOUT);
  expect(await operators.pruneImages({ budgetBytes: 0, keep: new Set() })).toEqual([]);

  await importTestImage(LOCAL);
  await removeTestImage(other);
});

/** Loads an image whose configuration names another processor. */
async function importForeign(): Promise<string> {
  const { foreignArchive } = await import("./test/foreign-image.ts");
  const name = `sandbox-foreign-${randomBytes(4).toString("hex")}:1`;
  const progress = await docker.loadImage(foreignArchive(name));
  for await (const _ of progress);
  return name;
}

function listen(port: number): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
