import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { spawnOwned } from "../../packages/testkit/src/process/owned.ts";
import { processesOf } from "./sweep.ts";

const OWN_RUN = join(import.meta.dirname, "own-run.ts");

/** Starts a daemon that nobody owns, leaves a file, and then does what the test says. */
const LEAVES = `
  const { spawn } = require("node:child_process");
  const { writeFileSync } = require("node:fs");
  spawn("sleep", ["600"], { detached: true, stdio: "ignore" }).unref();
  writeFileSync(process.env.TMPDIR + "/left", "");
  process.stdout.write(process.env.TMPDIR);`;
const STAYS = `${LEAVES} setInterval(() => undefined, 1000);`;

describe("a run", () => {
  let tmp = "";
  beforeEach(async () => {
    tmp = await mkdtemp(join(tmpdir(), "iexec-own-"));
  });
  afterEach(() => rm(tmp, { recursive: true, force: true }));

  /** The program, once it has said which folder it has. */
  async function start(program: string, TMPDIR = tmp) {
    const run = spawnOwned(process.execPath, ["--import", OWN_RUN, "-e", program], {
      env: { ...process.env, TMPDIR },
      stdio: ["ignore", "pipe", "pipe"],
      spareGroup: true,
    });
    let said = "";
    run.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    const ended = once(run, "close");
    if (run.stdout === null) throw new Error("no output");
    const [folder] = await once(run.stdout, "data");
    return { run, folder: String(folder), said: () => said, ended };
  }
  const nothingLeft = () =>
    vi.waitFor(async () => expect([...processesOf({ folder: tmp }), ...(await readdir(tmp))]).toEqual([]), { timeout: 30_000 });

  test("has a folder of its own, which is gone when it ends in order, with all that named it; and it says so", async () => {
    const { folder, ended, said } = await start(LEAVES);
    expect(folder.startsWith(join(tmp, "ix-"))).toBe(true);
    expect(await ended).toEqual([0, null]);
    expect(existsSync(folder)).toBe(false);
    expect(processesOf({ folder: tmp })).toEqual([]);
    expect(said()).toMatch(/ended what was left: process sleep 600/);
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)("that does not listen ends with %s, and nothing is left", async (signal) => {
    const { run, ended } = await start(STAYS);
    run.kill(signal);
    expect(await ended).toEqual([{ SIGINT: 130, SIGTERM: 143, SIGHUP: 129 }[signal], null]);
    await nothingLeft();
  });

  test("that is killed leaves nothing", async () => {
    const { run, ended } = await start(STAYS);
    run.kill("SIGKILL");
    expect(await ended).toEqual([null, "SIGKILL"]);
    await nothingLeft();
  });

  test("whose terminal is closed ends as it ends for SIGTERM", async () => {
    const { run, ended } = await start(`process.once("SIGTERM", () => process.exit(7)); ${STAYS}`);
    run.kill("SIGHUP");
    expect(await ended).toEqual([7, null]);
    await nothingLeft();
  });

  test("that hangs in its end is ended by a second signal", async () => {
    const { run, ended } = await start(`process.on("SIGINT", () => undefined); ${STAYS}`);
    run.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 500));
    run.kill("SIGINT");
    expect(await ended).toEqual([130, null]);
    await nothingLeft();
  });

  test("ends what kept only its mark, not a terminal that is in its folder, and not what names it", async () => {
    const program = `
      const { spawn } = require("node:child_process");
      const { IEXEC_RUN } = process.env;
      spawn("sleep", ["601"], { detached: true, stdio: "ignore", env: { IEXEC_RUN }, cwd: "/" }).unref();
      process.stdout.write(process.env.TMPDIR);
      process.once("SIGUSR2", () => { require("node:fs").writeFileSync(process.env.TMPDIR + "/left", ""); process.exit(0); });
      setInterval(() => undefined, 1000);`;
    const { run, folder, ended, said } = await start(program);
    const terminal = spawnOwned("/bin/sh", ["-c", "trap '' TERM; read -r _", folder], {
      cwd: folder,
      env: { OLDPWD: folder, TMPDIR: tmpdir() },
      stdio: ["pipe", "ignore", "ignore"],
    });
    run.kill("SIGUSR2");
    expect(await ended).toEqual([0, null]);
    expect(said()).toMatch(/ended what was left: process sleep 601\n/);
    expect([terminal.exitCode, terminal.signalCode]).toEqual([null, null]);
    terminal.stdin?.end("\n");
    expect(await once(terminal, "exit")).toEqual([0, null]);
  });

  test("with a relative TMPDIR has an absolute folder", async () => {
    const { folder, ended } = await start(LEAVES, relative(process.cwd(), tmp));
    expect(folder.startsWith(join(tmp, "ix-"))).toBe(true);
    await ended;
  });
});
