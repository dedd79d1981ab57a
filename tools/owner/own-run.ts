/**
 * Loaded by `./run` before each program it starts, so that whatever way the run ends, what it started ends.
 *
 * The run gets a temporary folder of its own, for its files, and a mark in the environment, which its processes are told by. When this process ends, however
 * it ends, the folder goes and with it all that still belongs to it.
 */
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmodSync, mkdtempSync, rmdirSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { isMainThread } from "node:worker_threads";
import { endProcess } from "../../packages/service/src/end-process.ts";
import { atMyEnd, stopAllOwned, tellAllOwned } from "../../packages/testkit/src/process/owned.ts";
import { markInside, RUN_MARK } from "../../packages/testkit/src/process/run-mark.ts";

const SWEEP = join(import.meta.dirname, "sweep.ts");
const SWEEP_LIMIT_MS = 60_000;
/** How long an orderly end may take: a little more than the longest grace of what a run starts. */
const RUN_GRACE_MS = 45_000;
/** For the orderly end of a program that was told twice. */
const HURRIED_MS = 1_500;
/** One Ctrl-C can come twice, from the terminal and from a program between. */
const SAME_SIGNAL_MS = 300;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Folder and mark come through standard input, so that the shell that waits is no part of the run. $1 Node, $2 the sweeper. */
const AFTER_US = `IFS= read -r folder
IFS= read -r mark
read -r _
[ -d "$folder" ] || exit 0
exec "$1" "$2" "$folder" "$mark"`;

function own(): void {
  // Short: sockets in folders below it have paths of at most 107 bytes.
  const folder = mkdtempSync(join(resolve(tmpdir()), "ix-"));
  // Postgres drops root's rights and must still get at its folder.
  chmodSync(folder, 0o755);
  // The sweeper has neither of the two: of two sweepers none ends the other.
  const { TMPDIR: _, [RUN_MARK]: outer, ...theirs } = process.env;
  const mark = randomUUID();
  process.env.TMPDIR = folder;
  process.env[RUN_MARK] = markInside(outer, mark);
  atMyEnd(AFTER_US, ["sweeper", process.execPath, SWEEP], `${folder}\n${mark}`);

  let toldAt: number | undefined;
  let hurried = false;
  process.on("exit", () => {
    try {
      rmdirSync(folder);
    } catch {
      // Something is still there.
      // Their watchdogs would end them only after us, and the sweeper would wait for that.
      tellAllOwned();
      const args = [SWEEP, ...(hurried ? ["--now"] : []), folder, mark];
      spawnSync(process.execPath, args, { env: theirs, stdio: ["ignore", "ignore", "inherit"], timeout: SWEEP_LIMIT_MS });
    }
  });

  const end = (name: (typeof SIGNALS)[number], afterMs: number): void => {
    setTimeout(() => {
      process.stderr.write(`run: ${name} did not end it in ${afterMs / 1_000} s: ended now\n`);
      endProcess(128 + constants.signals[name]);
    }, afterMs).unref();
  };
  for (const name of SIGNALS) {
    process.on(name, () => {
      const now = performance.now();
      if (toldAt !== undefined) {
        if (now - toldAt < SAME_SIGNAL_MS) return;
        hurried = true;
        end(name, HURRIED_MS);
        return;
      }
      toldAt = now;
      end(name, RUN_GRACE_MS);
      if (process.listenerCount(name) > 1) return;
      // A program that has an orderly end for one of them takes it for all.
      const other = (["SIGTERM", "SIGINT"] as const).find((known) => process.listenerCount(known) > 1);
      if (other !== undefined) process.emit(other, other);
      else void stopAllOwned().finally(() => endProcess(128 + constants.signals[name]));
    });
  }
}

if (isMainThread) own();
