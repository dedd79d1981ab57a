import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ROLE_ACCOUNTS } from "@iexec-ts/network";
import { writeKeystore } from "@iexec-ts/service";
import { startPostgres } from "@iexec-ts/testkit";
import { bytesToHex } from "viem";
import { must, mustBe, mustShow } from "../operator/expect.ts";
import { type Scenario, SkipScenario } from "../scenario.ts";
import { docker, keepingGuideBase, leftovers, newName, untilAllSet } from "./docker-worker.ts";
import type { JoinWorld } from "./join-world.ts";
import { startRelay } from "./relay.ts";
import { mustRun, run } from "./shell.ts";

const LIMIT_MS = 400_000;
const FILES = fileURLToPath(new URL("../../../deploy/compose", import.meta.url));
const OWNER_PASSWORD = "password of the owner";
/** User of the services in their images. */
const USER = 10_001;

/** Compose as a plugin of the client, or Debian's own. */
async function composeProgram(signal: AbortSignal): Promise<readonly [string, ...string[]]> {
  for (const line of [["docker", "compose"], ["docker-compose"]] as const)
    if ((await run([...line, "version"], signal).catch(() => undefined))?.code === 0) return line;
  throw new SkipScenario("neither docker compose nor docker-compose is here");
}

/** The files of deploy/compose in a folder of their own. */
async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "iexec-compose-"));
  try {
    await cp(FILES, folder, { recursive: true });
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export const COMPOSE_CASES: readonly Scenario<JoinWorld>[] = [
  {
    id: "compose-files",
    timeoutMs: LIMIT_MS,
    async run(_, signal) {
      const compose = await composeProgram(signal);
      return inFolder(async (folder) => {
        const examples = await mustRun(["sh", "-c", "cat worker.env.example pool.env.example"], signal, { cwd: folder });
        await writeFile(join(folder, ".env"), examples);
        const seen: string[] = [];
        for (const files of [["worker.yaml"], ["pool.yaml"], ["pool.yaml", "worker.yaml"]]) {
          const line = files.flatMap((file) => ["-f", file]);
          const shown = await run([...compose, ...line, "config", "--services"], signal, { cwd: folder });
          must(shown.code === 0, `${files.join(" + ")}: ${shown.output.slice(-500)}`);
          seen.push(`${files.join(" + ")}: ${shown.stdout.trim().split("\n").sort().join(", ")}`);
        }
        await writeFile(join(folder, ".env"), "");
        const bare = await run([...compose, "-f", "worker.yaml", "config"], signal, { cwd: folder });
        must(bare.code !== 0 && bare.output.includes("IEXEC_WORKER_NAME"), "a missing setting is not told");
        return seen.join("; ");
      });
    },
  },
  {
    id: "compose-worker",
    timeoutMs: LIMIT_MS,
    run: (world, signal) =>
      keepingGuideBase(async () => {
        const compose = await composeProgram(signal);
        const [network, images] = await Promise.all([world.network(signal), world.images(signal)]);
        const { env, address } = network.rig.worker();
        const name = newName("compose");
        return inFolder(async (folder) => {
          await cp(env.IEXEC_WORKER_WALLET_PATH ?? "", join(folder, "wallet.json"));
          await writeFile(join(folder, "password.txt"), `${env.IEXEC_WORKER_WALLET_PASSWORD}\n`, { mode: 0o600 });
          const settings = {
            IEXEC_WORKER_IMAGE: images.worker.name,
            IEXEC_WORKER_NAME: name,
            IEXEC_CORE_URL: network.scheduler.url,
            POOL_ADDRESS: network.rig.network.prepared.workerpool.address,
            IEXEC_WORKER_ALLOW_UNPROVED_LIMITS: "true",
            IEXEC_WORKER_CONTAINER_RUNTIME: "runc",
          };
          const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}`);
          await writeFile(join(folder, ".env"), `${lines.join("\n")}\n`);
          const line = [...compose, "-p", name, "-f", "worker.yaml"] as const;
          try {
            const began = performance.now();
            await mustRun([...line, "up", "-d"], signal, { cwd: folder });
            const joined = await untilAllSet(world.docker, name, began, signal);
            const done = await network.doTask(address, "TEXT=compose", signal);
            const stop = ["exec", "-T", "worker", "iexec-worker", "status"] as const;
            mustShow({ text: await mustRun([...line, ...stop], signal, { cwd: folder }) }, "COMPLETED");
            const inspected = await docker(["inspect", name], signal);
            must(!inspected.includes(env.IEXEC_WORKER_WALLET_PASSWORD ?? "?"), "the password is in docker inspect");
            await mustRun([...line, "down", "-v"], signal, { cwd: folder });
            mustBe("left by down", (await leftovers(world.docker, name, address)).join(), "");
            return `up to registered ${joined} s, task paid after ${done.seconds} s, read-only root, nothing left after down`;
          } finally {
            await run([...line, "down", "-v"], AbortSignal.timeout(60_000), { cwd: folder });
            await rm(`/tmp/iexec-worker/${name}`, { recursive: true, force: true });
          }
        });
      }),
  },
  {
    id: "pool-images",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const [network, images] = await Promise.all([world.network(signal), world.images(signal)]);
      const { chain, workerpool } = network.rig.network.prepared;
      const at = { listenOn: network.scheduler.host, as: network.scheduler.host };
      const names = { scheduler: newName("scheduler"), proxy: newName("proxy") };
      const [node, database, postgres] = await Promise.all([startRelay(at), startRelay(at), startPostgres({}, signal)]);
      return inFolder(async (folder) => {
        try {
          node.to(chain.rpcUrl);
          const { privateKey } = chain.account(ROLE_ACCOUNTS.scheduler).getHdKey();
          must(privateKey !== null, "the owner has no key");
          await writeKeystore(join(folder, "owner.json"), bytesToHex(privateKey), OWNER_PASSWORD, { n: 4_096 });
          await writeFile(join(folder, "owner-password.txt"), `${OWNER_PASSWORD}\n`);
          for (const service of ["scheduler", "proxy"]) {
            const { url } = await postgres.createDatabase();
            database.to(url);
            const reached = new URL(url);
            reached.host = `${database.host}:${database.port}`;
            await writeFile(join(folder, `${service}-database.txt`), `${reached}\n`);
          }
          await mustRun(["chown", "-R", `${USER}:${USER}`, folder], signal);
          const hard = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"];
          const common = [
            ["IEXEC_HUB_ADDRESS", chain.hub],
            ["IEXEC_BLOCKCHAIN_NODE_ADDRESS", node.url],
          ].flatMap(([key, value]) => ["-e", `${key}=${value}`]);
          const start = (service: "scheduler" | "proxy", image: string, port: number, more: readonly string[]) =>
            docker(
              [
                ...["run", "-d", "--name", names[service], ...hard, "-p", `${at.as}::${port}`, "-v", `${folder}:/run/secrets:ro`],
                ...common,
                ...["-e", `DATABASE_URL_FILE=/run/secrets/${service}-database.txt`, ...more, image],
              ],
              signal,
            );
          await start("proxy", images["result-proxy"].name, 13_200, []);
          const pool = [
            ["POOL_ADDRESS", workerpool.address],
            ["IEXEC_CORE_WALLET_PATH", "/run/secrets/owner.json"],
            ["IEXEC_CORE_WALLET_PASSWORD_FILE", "/run/secrets/owner-password.txt"],
            ["IEXEC_JOIN_POOL_NAME", "from-an-image"],
          ].flatMap(([key, value]) => ["-e", `${key}=${value}`]);
          await start("scheduler", images.scheduler.name, 13_000, pool);
          const urlOf = async (name: string, port: number) => `http://${(await docker(["port", name, `${port}`], signal)).split("\n")[0]}`;
          const healthy = async (name: string, port: number): Promise<string> => {
            const url = await urlOf(name, port);
            await network.rig.until(
              `${name} is well`,
              async () => {
                const answer = await fetch(`${url}/actuator/health`).catch(() => undefined);
                if (answer?.ok) return true;
                const state = await docker(["inspect", "-f", "{{.State.Running}}", name], signal);
                must(state === "true", `${name} ended: ${(await run(["docker", "logs", name], signal)).output.slice(-500)}`);
                return undefined;
              },
              signal,
              200,
            );
            return url;
          };
          await healthy(names.proxy, 13_200);
          const scheduler = await healthy(names.scheduler, 13_000);
          // It listens on every address: nobody can say which one leads here.
          const unsaid = await fetch(`${scheduler}/join`);
          mustShow({ text: await unsaid.text() }, "SCH-1304", "IEXEC_CORE_PUBLIC_URL");
          await docker(["rm", "-f", names.scheduler], signal);
          await start("scheduler", images.scheduler.name, 13_000, [...pool, "-e", "IEXEC_CORE_PUBLIC_URL=https://pool.example"]);
          const again = await healthy(names.scheduler, 13_000);
          const script = await (await fetch(`${again}/join/worker.sh`)).text();
          mustShow({ text: script }, "POOL='from-an-image'", "CORE_URL='https://pool.example'", workerpool.address.toLowerCase());
          const memory = await docker(
            ["stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", names.scheduler, names.proxy],
            signal,
          );
          return `scheduler and result proxy as user ${USER}, read-only, without capabilities, on a Postgres beside them; /join served; ${memory.replaceAll("\n", "; ")}`;
        } finally {
          await run(["docker", "rm", "-f", "-v", names.scheduler, names.proxy], AbortSignal.timeout(60_000));
          await Promise.all([node.close(), database.close()]);
          await postgres.stop();
        }
      });
    },
  },
];
