import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ErrorCode } from "@iexec-ts/service";
import { EXIT, must, mustBe, mustRefuse } from "../operator/expect.ts";
import type { Scenario } from "../scenario.ts";
import { docker, GUIDE_BASE, keepingGuideBase, leftovers, logsOf, newName, removeWorker, untilAllSet } from "./docker-worker.ts";
import { fillGuideLine } from "./guide-line.ts";
import type { JoinWorld } from "./join-world.ts";
import { mustRun, run } from "./shell.ts";

const LIMIT_MS = 480_000;
const MB = 1e6;
/** A typical image of the Java worker. */
const JAVA_IMAGE_MB = 500;

/** The guide's line, as the words of a shell. */
const shell = (line: string): readonly [string, ...string[]] => ["sh", "-c", line];

async function filled(world: JoinWorld, what: string, signal: AbortSignal) {
  const [network, images] = await Promise.all([world.network(signal), world.images(signal)]);
  const { env, address } = network.rig.worker();
  const { host, port } = network.scheduler;
  const line = {
    name: newName(what),
    host,
    port,
    password: env.IEXEC_WORKER_WALLET_PASSWORD ?? "",
    walletPath: env.IEXEC_WORKER_WALLET_PATH ?? "",
    image: images.worker.name,
  };
  return { network, image: images.worker, address, line };
}

export const DOCKER_CASES: readonly Scenario<JoinWorld>[] = [
  {
    id: "docker-line",
    short: true,
    timeoutMs: LIMIT_MS,
    run: (world, signal) =>
      keepingGuideBase(async () => {
        const { network, image, address, line } = await filled(world, "line", signal);
        const began = performance.now();
        try {
          await mustRun(shell(fillGuideLine(line)), signal);
          const joined = await untilAllSet(world.docker, line.name, began, signal);
          const first = await network.doTask(address, "TEXT=guide", signal);
          const second = await network.doTask(address, "TEXT=again", signal);
          const health = "wget -q -O /dev/null http://127.0.0.1:13100/actuator/health";
          await docker(["exec", line.name, "sh", "-c", health], signal);
          const status = await docker(["exec", line.name, "iexec-worker", "status"], signal);
          must(status.includes("RUNNING") && status.includes("COMPLETED"), `the status is ${status.slice(0, 300)}`);
          const doctor = await run(["docker", "exec", line.name, "iexec-worker", "doctor"], signal);
          must(doctor.code === EXIT.ok, `doctor ended with ${doctor.code}: ${doctor.output.slice(-600)}`);
          const isolated = (await logsOf(line.name, signal)).includes("isolation proved");
          const stop = await run(["docker", "stop", line.name], signal);
          const exit = await docker(["inspect", "-f", "{{.State.ExitCode}}", line.name], signal);
          mustBe("the exit code", exit, "0");
          const left = (await leftovers(world.docker, line.name, address)).filter((each) => each !== `container /${line.name}`);
          mustBe("left after docker stop", left.join(), "");
          must(image.bytes / MB < JAVA_IMAGE_MB / 2, `the image has ${image.bytes} bytes`);
          return [
            `image ${(image.bytes / MB).toFixed(1)} MB`,
            `docker run to registered ${joined} s`,
            `first task paid after ${first.seconds} s, the next after ${second.seconds} s`,
            `${first.earned + second.earned} nRLC earned`,
            `isolation ${isolated ? "proved" : "not proved yet"}`,
            `docker stop ${stop.seconds} s, exit 0, nothing left`,
          ].join("; ");
        } finally {
          await removeWorker(line.name, AbortSignal.timeout(60_000));
        }
      }),
  },
  {
    id: "docker-mounts",
    timeoutMs: LIMIT_MS,
    run: (world, signal) =>
      keepingGuideBase(async () => {
        const { network, line } = await filled(world, "mounts", signal);
        const other = join(network.rig.network.dir, "another-folder");
        await mkdir(other, { recursive: true });
        const whole = fillGuideLine(line).replace("docker run -d", "docker run --rm");
        const missing = join(network.rig.network.dir, "no-such-wallet.json");
        const wrong: readonly (readonly [string, ErrorCode, string])[] = [
          ["no socket", "WRK-1008", whole.replace("-v /var/run/docker.sock:/var/run/docker.sock", "")],
          ["no wallet", "WRK-1009", whole.replace(`-v ${line.walletPath}:/iexec-wallet/wallet.json`, "")],
          ["a wallet that is not there", "WRK-1009", whole.replace(line.walletPath, missing)],
          ["no base directory", "WRK-1010", whole.replace("-v /tmp/iexec-worker:/tmp/iexec-worker\\\n", "\\\n")],
          ["another base directory", "WRK-1010", whole.replace("-v /tmp/iexec-worker:", `-v ${other}:`)],
          ["a user without the socket", "WRK-1008", whole.replace("docker run --rm", "docker run --rm --user 12345:12345")],
        ];
        for (const [what, code, text] of wrong) {
          must(text !== whole, `${what}: the line was not changed`);
          const ended = await run(shell(text), signal);
          try {
            mustRefuse({ code: ended.code, text: ended.output, raw: ended.output }, EXIT.person, code);
          } catch (thrown) {
            throw new Error(`${what}: ${thrown instanceof Error ? thrown.message : thrown}`);
          }
        }
        await rm(missing, { recursive: true, force: true });
        return wrong.map(([what, code]) => `${what}: ${code}`).join("; ");
      }),
  },
  {
    id: "docker-commands",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const { worker, scheduler, "result-proxy": proxy } = await world.images(signal);
      const version = await docker(["run", "--rm", worker.name, "--version"], signal);
      const help = await docker(["run", "--rm", worker.name, "--help"], signal);
      must(help.includes("doctor"), "no help");
      // No command means start: the first thing it misses is the password.
      const bare = await run(["docker", "run", "--rm", worker.name], signal);
      must(
        bare.code === EXIT.usage && bare.output.includes("IEXEC_WORKER_WALLET_PASSWORD"),
        `without a command: ${bare.output.slice(-300)}`,
      );
      const doctor = await run(["docker", "run", "--rm", worker.name, "doctor", "--no-input"], signal);
      must(doctor.code === EXIT.person && doctor.output.includes("FAIL"), `doctor ended with ${doctor.code}: ${doctor.output.slice(-300)}`);
      for (const image of [scheduler, proxy]) {
        mustBe(`version of ${image.name}`, await docker(["run", "--rm", image.name, "--version"], signal), version);
        mustBe(`user of ${image.name}`, await docker(["run", "--rm", "--entrypoint", "id", image.name, "-u"], signal), "10001");
      }
      const sizes = [worker, scheduler, proxy].map(({ name, bytes }) => `${name} ${(bytes / MB).toFixed(1)} MB`);
      return `version ${version}; ${sizes.join(", ")}; services run as user 10001`;
    },
  },
  {
    id: "docker-not-root",
    timeoutMs: LIMIT_MS,
    run: (world, signal) =>
      keepingGuideBase(async () => {
        const { network, address, line } = await filled(world, "user", signal);
        const base = `${GUIDE_BASE}-user`;
        const state = join(network.rig.network.dir, "state-of-user");
        const group = await mustRun(["stat", "-c", "%g", "/var/run/docker.sock"], signal);
        const wallet = join(network.rig.network.dir, "wallet-of-user.json");
        try {
          await mustRun(["install", "-d", "-o", "12345", "-g", "12345", base, state], signal);
          await mustRun(["install", "-m", "400", "-o", "12345", line.walletPath, wallet], signal);
          const text = fillGuideLine({ ...line, walletPath: wallet })
            .replace(
              "docker run -d",
              `docker run -d --user 12345:12345 --group-add ${group} --cap-drop ALL --security-opt no-new-privileges -v ${state}:/var/lib/iexec-worker`,
            )
            .replace("-v /tmp/iexec-worker:/tmp/iexec-worker", `--env IEXEC_WORKER_BASE_DIR=${base} -v ${base}:${base}`);
          const began = performance.now();
          await mustRun(shell(text), signal);
          await untilAllSet(world.docker, line.name, began, signal);
          const done = await network.doTask(address, "TEXT=user", signal);
          return `user 12345 with group ${group}, no capability: task paid after ${done.seconds} s`;
        } finally {
          const ending = AbortSignal.timeout(60_000);
          await run(["docker", "stop", line.name], ending);
          await removeWorker(line.name, ending);
          await rm(base, { recursive: true, force: true });
        }
      }),
  },
];
