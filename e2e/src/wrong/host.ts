import { createServer } from "node:net";
import type { Scenario } from "../scenario.ts";
import { EXIT, type Expected, programOf, requireRefusal } from "./refusal.ts";
import type { World } from "./world.ts";

const NOWHERE = "/nonexistent/docker.sock";
const LONG = 240_000;

const anyPort = ["--chain-port", "--scheduler-port", "--result-proxy-port", "--gateway-port", "--worker-port", "--registry-port"];
const demo = (...flags: readonly string[]): readonly [string, ...string[]] => [
  "bash",
  "./run",
  "demo",
  ...anyPort.filter((flag) => !flags.includes(flag)).flatMap((flag) => [flag, "0"]),
  ...flags,
];

/** Runs `use` while a port of this host is taken by somebody else. */
async function withTakenPort<T>(use: (port: number) => Promise<T>): Promise<T> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  try {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    return await use(address.port);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** Every one of these is tried, also when another is not as promised. */
async function all(checks: readonly Promise<string>[]): Promise<string> {
  const ends = await Promise.allSettled(checks);
  const failed = ends.flatMap((end) => (end.status === "rejected" ? [String(end.reason)] : []));
  if (failed.length > 0) throw new Error(failed.join("; "));
  return ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : [])).join("; ");
}

export const hostScenarios: readonly Scenario<World>[] = [
  {
    id: "docker-missing",
    short: true,
    timeoutMs: LONG,
    run: (world) =>
      all([
        requireRefusal(demo("--docker-socket", NOWHERE), { exit: EXIT.temporary, code: "NET-2003", names: [NOWHERE] }),
        requireRefusal(demo(), { exit: EXIT.unavailable, names: [NOWHERE, "DOCKER_HOST"] }, { env: { DOCKER_HOST: `unix://${NOWHERE}` } }),
        requireRefusal(demo("--docker-socket", "tcp://10.0.0.1:2375"), {
          exit: EXIT.settings,
          code: "SVC-1101",
          names: ["--docker-socket"],
        }),
        world.refuses({ IEXEC_WORKER_DOCKER_SOCKET: NOWHERE }, { exit: EXIT.temporary, code: "SBX-1001" }),
        world.refuses({ IEXEC_WORKER_DOCKER_SOCKET: "", DOCKER_HOST: `unix://${NOWHERE}` }, { exit: EXIT.temporary, code: "SBX-1001" }),
      ]),
  },
  {
    id: "port-taken",
    timeoutMs: LONG,
    run: async () => {
      const said: string[] = [];
      for (const flag of anyPort) {
        const end = await withTakenPort((port) =>
          requireRefusal(demo(flag, String(flag === "--worker-port" ? port - 2 : port)), {
            exit: EXIT.person,
            code: "NET-2004",
            names: [String(port), flag],
          }),
        );
        said.push(`${flag} ${end}`);
      }
      return said.join("; ");
    },
  },
  {
    id: "service-port-taken",
    timeoutMs: LONG,
    run: (world) =>
      withTakenPort((port) => {
        const expected = (setting: string): Expected => ({ exit: EXIT.person, code: "SVC-1201", names: [String(port), setting] });
        return all([
          world.refuses({ IEXEC_WORKER_PORT: String(port) }, expected("IEXEC_WORKER_PORT")),
          requireRefusal([process.execPath, programOf("scheduler")], expected("IEXEC_CORE_PORT"), {
            env: { ...world.schedulerEnv, IEXEC_CORE_PORT: String(port) },
          }),
          requireRefusal([process.execPath, programOf("result-proxy")], expected("IEXEC_RESULT_PROXY_PORT"), {
            env: { ...world.resultProxyEnv, IEXEC_RESULT_PROXY_PORT: String(port) },
          }),
        ]);
      }),
  },
  {
    id: "disk-full",
    short: true,
    timeoutMs: LONG,
    run: () =>
      // A small disk of this process alone, which goes with it.
      requireRefusal(
        ({ tmp }) => [
          "unshare",
          ...(process.getuid?.() === 0 ? [] : ["--map-root-user"]),
          "--mount",
          "bash",
          "-c",
          `mount -t tmpfs -o size=1g none '${tmp}' && exec "$@"`,
          "small-disk",
          ...demo(),
        ],
        { exit: EXIT.temporary, code: "NET-2002", names: ["MiB", "TMPDIR"] },
      ),
  },
  {
    id: "one-cpu",
    short: true,
    timeoutMs: LONG,
    run: (world) =>
      all([
        requireRefusal(["taskset", "-c", "0", ...demo()], { exit: EXIT.person, code: "NET-2001" }),
        world.refuses({}, { exit: EXIT.person, code: "WRK-1002" }, ["taskset", "-c", "0"]),
      ]),
  },
  {
    id: "bad-settings",
    short: true,
    timeoutMs: LONG,
    run: (world) =>
      all([
        requireRefusal(demo("--workers", "0", "--trust", "much", "--tasks", "-1"), {
          exit: EXIT.settings,
          code: "SVC-1101",
          names: ["--workers", "--trust", "--tasks"],
        }),
        world.refuses(
          { POOL_ADDRESS: "the-pool", IEXEC_WORKER_PORT: "many", IEXEC_WORKER_GPU_ENABLED: "perhaps", IEXEC_CORE_URL: "somewhere" },
          {
            exit: EXIT.settings,
            code: "SVC-1101",
            names: ["POOL_ADDRESS", "IEXEC_WORKER_PORT", "IEXEC_WORKER_GPU_ENABLED", "IEXEC_CORE_URL"],
          },
        ),
        requireRefusal(
          [process.execPath, programOf("scheduler")],
          { exit: EXIT.settings, code: "SVC-1101", names: ["POOL_ADDRESS", "IEXEC_HUB_ADDRESS", "IEXEC_CORE_PORT"] },
          { env: { IEXEC_CORE_PORT: "-5" } },
        ),
        requireRefusal(
          [process.execPath, programOf("result-proxy")],
          { exit: EXIT.settings, code: "SVC-1101", names: ["DATABASE_URL", "IEXEC_HUB_ADDRESS", "IEXEC_RESULT_PROXY_PORT"] },
          { env: { IEXEC_RESULT_PROXY_PORT: "-5" } },
        ),
      ]),
  },
];
