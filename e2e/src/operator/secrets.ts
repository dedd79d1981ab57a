import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { createGunzip } from "node:zlib";
import type { Scenario } from "../scenario.ts";
import { EXIT, must, mustBe, mustEnd, mustShow } from "./expect.ts";
import type { World } from "./world.ts";

const LIMIT_MS = 240_000;

/** A tar archive is its files one after the other: good enough to search. */
async function unzipped(path: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of createReadStream(path).pipe(createGunzip())) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** What an operator keeps secret on purpose. */
const isKeptSecret = (path: string): boolean => path.includes("/private/");

export const SECRET_SCENARIOS: readonly Scenario<World>[] = [
  {
    id: "support-bundle",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.veteran(signal);
      const log = join(operator.home, "worker.log");
      const path = join(operator.home, "support.tar.gz");
      const made = mustEnd(await operator.run(["support", "bundle", "--output", path, "--log", log], signal), EXIT.ok);
      mustShow(made, "wrote ", "settings.json", "worker.log");
      mustBe("the mode", ((await stat(path)).mode & 0o777).toString(8), "600");
      const all = await unzipped(path);
      for (const part of ["about.json", "doctor.json", "status.json", "tasks.json", "history.json", "transactions.json", "worker.log"])
        must(all.includes(`iexec-worker-support/${part}`), `no ${part} in the bundle`);
      mustShow({ text: all.toString() }, "COMPLETED", operator.address);
      mustBe("secrets in the bundle", world.watch.secretsIn(all).join(), "");
      const kept = JSON.stringify(JSON.parse(await readFile(operator.walletPath, "utf8")).crypto.ciphertext).replaceAll('"', "");
      must(!all.includes(kept), "the bundle holds the wallet");
      return `${Math.round(all.length / 1_024)} KiB unpacked: settings, doctor, tasks, log; no password, no key, no wallet`;
    },
  },
  {
    id: "no-secret-anywhere",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const { watch } = world;
      const operator = await world.operator();
      const worker = operator.worker().start();
      await world.rig.until("the worker joins", async () => ((await operator.log()).includes("all set") ? true : undefined), signal);
      const taskId = await world.rig.buyOne("TEXT=secret SLEEP=2");
      await world.rig.untilStatus(taskId, "COMPUTING", signal, operator.address);
      for (const path of ["/", "/v1/status", "/v1/tasks", `/v1/tasks/${taskId}`, "/metrics", "/actuator/health"])
        watch.check(`the page ${path}`, await fetch(`${operator.pageUrl}${path}`).then((answer) => answer.text()));
      const environment = await readFile(`/proc/${worker.pid}/environ`);
      watch.check("the environment of a worker whose password is in a file", environment);
      await world.rig.untilStatus(taskId, "COMPLETED", signal, operator.address);
      // While it runs the newest writes of the journal are in its -wal file: both are read, now and after its end.
      const before = await watch.checkFolder(operator.home, isKeptSecret);
      await worker.stop();
      const files =
        (await watch.checkFolder(join(world.rig.network.dir, "operators"), isKeptSecret)) +
        (await watch.checkFolder(join(world.rig.network.dir, "logs")).catch(() => 0));
      const { secrets, processes, containers } = watch.counts;
      must(processes > 0 && containers > 0 && before > 0, "nothing was looked at");
      must(watch.secretsIn(await readFile(join(operator.home, "private", "password"))).length === 1, "the search itself finds nothing");
      mustBe("secrets found", watch.findings.join("; "), "");
      return `${secrets} passwords and keys: not in the command lines of ${processes} processes, ${containers} containers, ${files} files (logs, journals, bundles, history), the page, or what any terminal showed`;
    },
  },
];
