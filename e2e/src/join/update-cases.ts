import { generateKeyPairSync } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join, resolve } from "node:path";
import type { ReplicateStatus, TaskId } from "@iexec-ts/poco";
import { freePort } from "@iexec-ts/service";
import { spawnOwned } from "@iexec-ts/testkit";
import { z } from "zod";
import { type Rig, startRig } from "../rig/rig.ts";
import type { WorkerProcess } from "../rig/worker-process.ts";
import type { Scenario } from "../scenario.ts";
import type { JoinWorld } from "./join-world.ts";

const LIMIT_MS = 300_000;
const ROOT = resolve(import.meta.dirname, "../../..");
const WALLETS = 6;
const GOOD = "0.2.0";
const BROKEN = "0.3.0";
const MUTE = "0.4.0";
/** Says its version, and ends as soon as it is to work. */
const ENDS_AT_ONCE = `console.log(process.argv.includes("--version") ? "${BROKEN}" : "no"); process.exitCode = process.argv.includes("--version") ? 0 : 1;\n`;
/** Says its version, starts, and never joins. */
const NEVER_JOINS = `if (process.argv.includes("--version")) console.log("${MUTE}"); else setInterval(() => {}, 1000);\n`;

interface Answer {
  readonly code: number | null;
  readonly text: string;
  readonly data: Record<string, unknown>;
}

/** A publisher with a server of releases, and a network whose workers are installations. */
class UpdateLab {
  readonly rig: Rig;
  readonly #releases: string;
  readonly #key: string;
  readonly url: string;
  #installations = 0;

  constructor(rig: Rig, releases: string, key: string, url: string) {
    this.rig = rig;
    this.#releases = releases;
    this.#key = key;
    this.url = url;
  }

  /** SIDE EFFECTS: a signed release on the server, and with `install` an installation of it. */
  async publish(
    version: string,
    options: { readonly content?: string; readonly install?: string; readonly key?: string } = {},
  ): Promise<void> {
    const words = ["tools/release.ts", "--as-version", version, "--key", options.key ?? this.#key, "--out", this.#releases];
    if (options.content !== undefined) {
      const folder = join(this.rig.network.dir, `content-${version}`);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, "iexec-worker.mjs"), options.content);
      words.push("--files", folder);
    }
    if (options.install !== undefined) words.push("--install", options.install, "--url", this.url);
    const { code, text } = await run(process.execPath, words, { ...process.env });
    if (code !== 0) throw new Error(`release ${version}: ${text.slice(-400)}`);
  }

  /** Changes a file that is served. */
  async tamper(path: string, change: (bytes: Buffer) => Buffer): Promise<void> {
    const file = join(this.#releases, path);
    await writeFile(`${file}.changed`, change(await readFile(file)));
    await rename(`${file}.changed`, file);
  }

  async served(path: string): Promise<Buffer> {
    return readFile(join(this.#releases, path));
  }

  /** A worker of version 0.1.0, installed and running. */
  async installed(signal: AbortSignal): Promise<{ readonly root: string; readonly worker: WorkerProcess }> {
    this.#installations += 1;
    const root = join(this.rig.network.dir, `installation-${this.#installations}`);
    await this.publish("0.1.0", { install: root });
    const env = { XDG_CONFIG_HOME: join(root, "config"), IEXEC_WORKER_PORT: String(await freePort()) };
    const worker = this.rig.worker(env, join(root, "current/iexec-worker.mjs"));
    worker.start();
    await this.rig.until("its journal", () => (existsSync(worker.journalPath) ? true : undefined), signal);
    await this.rig.until(
      "it joins",
      async () => ((await this.command(worker, ["status"])).data.state === "RUNNING" ? true : undefined),
      signal,
    );
    return { root, worker };
  }

  async command(worker: WorkerProcess, words: readonly string[]): Promise<Answer> {
    const { code, text } = await run(process.execPath, [worker.program, ...words, "--json"], {
      PATH: process.env.PATH ?? "",
      ...worker.env,
    });
    const line = text.trim().split("\n").at(-1) ?? "";
    try {
      return { code, text, data: z.record(z.string(), z.unknown()).parse(JSON.parse(line)) };
    } catch {
      throw new Error(`${words.join(" ")} ended with ${code} and said ${text.slice(-300)}`);
    }
  }

  reaches(worker: WorkerProcess, taskId: TaskId, status: ReplicateStatus, signal: AbortSignal): Promise<true> {
    return this.rig.until(
      `${status} of ${taskId}, which is in ${worker.history(taskId).at(-1)?.status}`,
      () => (worker.history(taskId).some((change) => change.status === status) ? true : undefined),
      signal,
    );
  }

  /** A worker that `update` started is nobody's child here. */
  async end(worker: WorkerProcess): Promise<void> {
    await worker.stop();
    await this.command(worker, ["stop", "--now"]);
  }
}

function run(
  file: string,
  words: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<{ readonly code: number | null; readonly text: string }> {
  return new Promise((done, failed) => {
    const child = spawnOwned(file, words, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] });
    let text = "";
    let errors = "";
    child.stdout?.on("data", (part: Buffer) => (text += part.toString()));
    child.stderr?.on("data", (part: Buffer) => (errors += part.toString()));
    child.once("error", failed);
    child.once("close", (code) => done({ code, text: text === "" ? errors : text }));
  });
}

async function openLab(signal: AbortSignal): Promise<UpdateLab & { close(): Promise<void> }> {
  const rig = await startRig({ wallets: WALLETS }, signal);
  const releases = join(rig.network.dir, "releases");
  await mkdir(releases);
  const server = createServer((request, response) => {
    const name = new URL(request.url ?? "/", "http://releases").pathname;
    readFile(join(releases, name)).then(
      (bytes) => response.end(bytes),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const lab = new UpdateLab(rig, releases, join(rig.network.dir, "publisher.pem"), `http://127.0.0.1:${address.port}`);
  return Object.assign(lab, {
    async close() {
      server.closeAllConnections();
      server.close();
      await rig.close();
    },
  });
}

const labOf = (world: JoinWorld, signal: AbortSignal): Promise<UpdateLab> =>
  world.shared("update lab", async () => world.owned(await openLab(signal)));

const codeIn = ({ data }: Answer): unknown =>
  z.looseObject({ error: z.looseObject({ code: z.string() }) }).safeParse(data).data?.error.code;

function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** Updates and departures of a worker that is installed with its versions side by side. */
export const UPDATE_CASES: readonly Scenario<JoinWorld>[] = [
  {
    id: "update-while-working",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const lab = await labOf(world, signal);
      const { worker } = await lab.installed(signal);
      try {
        const first = await lab.rig.buyOne("SLEEP=6 TEXT=before");
        await lab.reaches(worker, first, "COMPUTING", signal);
        await lab.publish(GOOD);
        const check = await lab.command(worker, ["update", "--check"]);
        must(check.code === 0 && check.data.to === GOOD && check.data.upToDate === false, `--check says ${check.text}`);
        const updated = await lab.command(worker, ["update"]);
        must(updated.code === 0 && updated.data.to === GOOD, `update ended with ${updated.code}: ${updated.text.slice(-300)}`);
        must(
          worker.history(first).some(({ status }) => status === "RESULT_UPLOADED"),
          "it did not wait for its task",
        );
        const status = await lab.command(worker, ["status"]);
        must(JSON.stringify(status.data).includes(`"${GOOD}"`), `status does not say ${GOOD}`);
        const second = await lab.rig.buyOne("TEXT=after");
        await lab.reaches(worker, second, "COMPLETED", signal);
        const again = await lab.command(worker, ["update"]);
        must(again.code === 0 && again.data.upToDate === true, `a second update says ${again.text}`);
        return `0.1.0 finished its task, ${GOOD} joined and did the next`;
      } finally {
        await lab.end(worker);
      }
    },
  },
  {
    id: "update-that-is-broken",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const lab = await labOf(world, signal);
      const { worker } = await lab.installed(signal);
      try {
        const seen: string[] = [];
        const contents = [
          [BROKEN, ENDS_AT_ONCE],
          [MUTE, NEVER_JOINS],
        ] as const;
        for (const [version, content] of contents) {
          const taskId = await lab.rig.buyOne(`SLEEP=3 TEXT=${version}`);
          await lab.reaches(worker, taskId, "COMPUTING", signal);
          await lab.publish(version, { content });
          const answer = await lab.command(worker, ["update", "--health", "8s"]);
          must(codeIn(answer) === "WRK-1707", `update to ${version} says ${answer.text.slice(-300)}`);
          const { data } = await lab.command(worker, ["status"]);
          must(data.state === "RUNNING" && JSON.stringify(data).includes('"0.1.0"'), `afterwards: ${JSON.stringify(data).slice(0, 200)}`);
          must(
            worker.history(taskId).some(({ status }) => status === "RESULT_UPLOADED"),
            "its task was lost",
          );
          const next = await lab.rig.buyOne(`TEXT=after-${version}`);
          await lab.reaches(worker, next, "COMPLETED", signal);
          const again = await lab.command(worker, ["update"]);
          must(codeIn(again) === "WRK-1709", `a second try says ${again.text.slice(-200)}`);
          seen.push(version);
        }
        const bad = "0.5.0";
        await lab.publish(bad, { content: "this is no program" });
        const untried = await lab.command(worker, ["update"]);
        must(codeIn(untried) === "WRK-1706", `a release that does not run says ${untried.text.slice(-200)}`);
        return `${seen.join(" (ends at once) and ")} (never joins) rolled back by themselves, no task lost; not tried twice; one that does not run was never installed`;
      } finally {
        await lab.end(worker);
      }
    },
  },
  {
    id: "update-that-lies",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const lab = await labOf(world, signal);
      const { worker } = await lab.installed(signal);
      const refused = async (what: string, code: string) => {
        const answer = await lab.command(worker, ["update"]);
        must(codeIn(answer) === code, `${what}: ${answer.text.slice(-300)}`);
      };
      try {
        await lab.publish("0.6.0");
        const good = { manifest: await lab.served("latest.json"), signature: await lab.served("latest.json.sig") };
        await lab.tamper("latest.json", (bytes) => Buffer.from(bytes.toString().replace('"0.6.0"', '"0.6.1"')));
        await refused("a changed manifest", "WRK-1703");
        await lab.tamper("latest.json", () => good.manifest);
        await lab.tamper("0.6.0/iexec-worker.mjs", (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.from(" ")]));
        await refused("a changed file", "WRK-1703");
        const stranger = join(lab.rig.network.dir, "stranger.pem");
        const { privateKey } = generateKeyPairSync("ed25519");
        await writeFile(stranger, privateKey.export({ type: "pkcs8", format: "pem" }), { mode: 0o600 });
        await lab.publish("0.7.0", { key: stranger, content: "// never run" });
        await refused("a release of somebody else", "WRK-1703");
        await lab.publish("0.0.9", { content: "// never run" });
        await refused("an old release", "WRK-1704");
        const { data } = await lab.command(worker, ["status"]);
        must(data.state === "RUNNING" && JSON.stringify(data).includes('"0.1.0"'), "the worker was touched");
        return "changed manifest, changed file, foreign signature and old release refused; the worker went on";
      } finally {
        await lab.end(worker);
      }
    },
  },
  {
    id: "leave",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const lab = await labOf(world, signal);
      const { worker } = await lab.installed(signal);
      try {
        const taskId = await lab.rig.buyOne("SLEEP=3 TEXT=last");
        await lab.reaches(worker, taskId, "COMPUTING", signal);
        const asked = await lab.command(worker, ["leave", "--no-input"]);
        must(asked.code !== 0, "it left without being asked to");
        const left = await lab.command(worker, ["leave", "--withdraw", "--yes"]);
        must(left.code === 0, `leave ended with ${left.code}: ${left.text.slice(-300)}`);
        const { stake, locked } = await lab.rig.network.hub.account(worker.address);
        must(stake === 0n && locked === 0n, `${stake} nRLC free and ${locked} locked are left`);
        must(BigInt(String(left.data.withdrawnNanoRlc)) > 0n, "nothing was withdrawn");
        must(!existsSync(worker.journalPath), "the journal is left");
        must(!existsSync(join(worker.env.IEXEC_WORKER_BASE_DIR ?? "", worker.env.IEXEC_WORKER_NAME ?? "")), "the tasks are left");
        must(existsSync(worker.env.IEXEC_WORKER_WALLET_PATH ?? ""), "the wallet is gone");
        return `finished its task, took ${String(left.data.withdrawnNanoRlc)} nRLC back, left nothing but the wallet`;
      } finally {
        await worker.stop();
      }
    },
  },
];
