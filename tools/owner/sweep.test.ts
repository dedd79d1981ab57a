import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { runOwned } from "../../packages/testkit/src/process/owned.ts";
import { walletsIn } from "./sweep.ts";

const OURS = `0x${"1".repeat(40)}`;
const THEIRS = `0x${"2".repeat(40)}`;
const TASK = `0x${"3".repeat(64)}`;

let folder = "";
let elsewhere = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "iexec-sweep-"));
  elsewhere = await mkdtemp(join(tmpdir(), "iexec-theirs-"));
  await mkdir(join(folder, "net/state/worker-1"), { recursive: true });
  await writeFile(join(folder, "net/state/worker-1", `${OURS}.lock`), "");
  await writeFile(join(folder, "net/state/worker-1", `${OURS}.sqlite`), "");
  await writeFile(join(elsewhere, `${THEIRS}.sqlite`), "");
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
  await rm(elsewhere, { recursive: true, force: true });
});

test("a link that an app made leads to nobody else's wallets", async () => {
  await symlink(elsewhere, join(folder, "root"));
  await symlink(join(elsewhere, `${THEIRS}.sqlite`), join(folder, `${THEIRS}.sqlite`));
  expect(walletsIn(folder)).toEqual([OURS]);
});

test("a file that an app made names nobody's wallet", async () => {
  const out = join(folder, "net/tasks/worker-1", TASK, "output");
  await mkdir(out, { recursive: true });
  await writeFile(join(out, `${THEIRS}.lock`), "");
  await mkdir(join(folder, `${THEIRS}.lock`));
  expect(walletsIn(folder)).toEqual([OURS]);
});

test("links to nowhere, to everything and to themselves hide none of the run's own wallets", async () => {
  await symlink("/", join(folder, "a-root"));
  await symlink("/no/such/place", join(folder, "b-broken"));
  await symlink(join(folder, "c-loop"), join(folder, "c-loop"));
  await mkdir(join(folder, "d-closed"));
  await chmod(join(folder, "d-closed"), 0);
  expect(walletsIn(folder)).toEqual([OURS]);
  expect(walletsIn(join(folder, "no-such"))).toEqual([]);
});

test("with the folder its links go, and not what they lead to", async () => {
  await symlink(elsewhere, join(folder, "root"));
  const sweeper = [join(import.meta.dirname, "sweep.ts"), "--now", folder, "no-such-run"];
  expect(
    await runOwned(process.execPath, sweeper, { env: { PATH: "/usr/bin:/bin", DOCKER_HOST: "tcp://127.0.0.1:9", TMPDIR: "/tmp" } }),
  ).toMatchObject({
    code: 0,
    output: "",
  });
  expect(existsSync(folder)).toBe(false);
  expect(existsSync(join(elsewhere, `${THEIRS}.sqlite`))).toBe(true);
});
