import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Scenario } from "../scenario.ts";
import { type Lab, PERIOD_S } from "./lab.ts";
import { killedAt, type Ordeal, ordeal } from "./ordeal.ts";

const run = promisify(execFile);
const LONG = 420_000;

async function containersOf(it: Ordeal) {
  return it.lab.docker.listContainers({ all: true, filters: { label: [`iexec.task=${it.taskId}`] } });
}

async function expectContainer(it: Ordeal, state: string): Promise<void> {
  const [container] = await containersOf(it);
  if (container?.State !== state) throw new Error(`the app's container is ${container?.State}, not ${state}`);
}

const expectStatus = (it: Ordeal, status: string | undefined): void => {
  if (it.replicate?.progress !== status) throw new Error(`the journal says ${it.replicate?.progress}, not ${status}`);
};

/** Up to the sealed result: no stake is locked yet, only CPU time can be lost. */
const PAGE_BYTES = 4_096;

/** Writes until the file system is full, then gives `room` bytes back. */
async function fillUp(path: string, room: number): Promise<void> {
  const file = await open(path, "w");
  try {
    const page = Buffer.alloc(PAGE_BYTES);
    for (;;) await file.write(page);
  } catch (thrown) {
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "ENOSPC")) throw thrown;
    await file.truncate((await file.stat()).size - room);
  } finally {
    await file.close();
  }
}

export const COMPUTE_WINDOWS: readonly Scenario<Lab>[] = [
  {
    id: "W01-assigned-not-journalled",
    timeoutMs: LONG,
    run: killedAt(["W01"], { whileDead: (it) => expectStatus(it, undefined) }),
  },
  {
    // There is no TEE session to lose: the standard task's part of this window, started and nothing done.
    id: "W02-started",
    timeoutMs: LONG,
    run: killedAt(["W02"], { whileDead: (it) => expectStatus(it, "RUNNING") }),
  },
  {
    // In the first run the image is there, in the second the dataset; neither is in the journal.
    id: "W03-downloading",
    timeoutMs: LONG,
    run: killedAt(["W03", "W03#2"], { whileDead: (it, kill) => expectStatus(it, kill === 1 ? "APP_DOWNLOADING" : "DATA_DOWNLOADING") }),
  },
  {
    id: "W04-app-running",
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { args: "SLEEP=12 TEXT=steady", crashAt: "W04" }, async (it) => {
        await it.killed();
        await expectContainer(it, "running");
        const deadline = it.replicate?.computeDeadline?.getTime();
        it.resume();
        const seen = await it.ends({});
        if (it.replicate?.computeDeadline?.getTime() !== deadline) throw new Error("the deadline of the computation moved");
        return `killed while the app ran, attached to it again, deadline unmoved; ${seen}`;
      }),
  },
  {
    id: "W05-app-exited",
    short: true,
    timeoutMs: LONG,
    run: killedAt(["W05"], { whileDead: (it) => expectContainer(it, "exited") }),
  },
  {
    id: "W06-zip-written",
    timeoutMs: LONG,
    run: killedAt(["W06"], { whileDead: (it) => expectStatus(it, "COMPUTING") }),
  },
  {
    id: "W07-computed-not-reported",
    timeoutMs: LONG,
    run: killedAt(["W07"], { whileDead: (it) => expectStatus(it, "COMPUTED") }),
  },
  {
    id: "W08-before-contributing",
    timeoutMs: LONG,
    run: killedAt(["W08"], { whileDead: (it) => expectStatus(it, "CAN_CONTRIBUTE") }),
  },
  {
    id: "W22-half-purged",
    timeoutMs: LONG,
    run: killedAt(["W22"], {
      whileDead: (it) => {
        if (!existsSync(it.folder)) throw new Error("the folder was already gone");
      },
    }),
  },
  {
    id: "W23-abort-races-with-the-end-of-the-app",
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { args: "SLEEP=2 TEXT=raced", order: { category: lab.shortCategory } }, async (it) => {
        // The instant the container dies, the chain says that it is too late to contribute.
        await new Promise<void>((resolve, reject) => {
          const unhook = lab.onEnd(it.taskId, () => {
            unhook();
            lab.rig.chain.increaseTime(7 * PERIOD_S + 10).then(resolve, reject);
          });
          signal.addEventListener("abort", () => reject(new Error("the app never ended")), { once: true });
        });
        // Whoever wins the race, the deadlines of the chain end the task.
        await it.until("the end of the race", () =>
          it.replicate?.closedAt === undefined && it.statuses.at(-1) === "COMPUTING" ? undefined : true,
        );
        await lab.rig.chain.increaseTime(4 * PERIOD_S);
        const seen = await it.ends({
          end: "ABORTED_ON_CONTRIBUTION_TIMEOUT",
          contributions: 0,
          reveals: 0,
          stake: "kept",
        });
        return `the contribution window closed as the app ended: no late step; ${seen}`;
      }),
  },
  {
    id: "W24-disk-full",
    timeoutMs: LONG,
    run: async (lab, signal) => {
      const base = await mkdtemp(join(lab.rig.network.dir, "small-"));
      if (process.getuid?.() !== 0) throw new Error("not checked: a small file system can only be mounted as root");
      await run("mount", ["-t", "tmpfs", "-o", "size=96m", "tmpfs", base]);
      try {
        const env = { IEXEC_WORKER_BASE_DIR: base, IEXEC_WORKER_MIN_FREE_MIB: "0" };
        return await ordeal(lab, signal, { args: "SLEEP=4 TEXT=steady", env }, async (it) => {
          await it.until("a running app", async () => ((await containersOf(it))[0]?.State === "running" ? true : undefined));
          // Room for the app's own files, not for the zip.
          const filler = join(base, "filler");
          await fillUp(filler, 2 * PAGE_BYTES);
          await it.until("no room for the zip", () => (it.log.includes("ENOSPC") ? true : undefined));
          expectStatus(it, "COMPUTING");
          await expectContainer(it, "exited");
          if (existsSync(join(it.folder, "output", "iexec_out.zip"))) throw new Error("a truncated zip was left under the final name");
          await it.worker.kill();
          await rm(filler);
          it.resume();
          return `no room for the zip, killed, room again; ${await it.ends({})}`;
        });
      } finally {
        await run("umount", ["-l", base]);
      }
    },
  },
  {
    id: "W25-base-folder-wiped",
    timeoutMs: LONG,
    run: (lab, signal) =>
      ordeal(lab, signal, { crashAt: "W10", order: { category: lab.shortCategory } }, async (it) => {
        await it.killed();
        await rm(it.worker.env.IEXEC_WORKER_BASE_DIR ?? "", { recursive: true });
        await mkdir(it.worker.env.IEXEC_WORKER_BASE_DIR ?? "", { recursive: true });
        it.resume();
        await it.recorded("RESULT_UPLOAD_FAILED");
        await lab.rig.chain.increaseTime(10 * PERIOD_S);
        const seen = await it.ends({ end: "FAILED", stake: "kept" });
        return `every file of the worker was deleted after it contributed: revealed from the journal, result lost, stake back; ${seen}`;
      }),
  },
];
