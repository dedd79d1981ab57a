import { chmod, stat, writeFile } from "node:fs/promises";
import { freePort } from "@iexec-ts/service";
import { startRpcFaultProxy } from "@iexec-ts/testkit";
import type { Scenario } from "../scenario.ts";
import { checksOf, EXIT, must, mustBe, mustEnd, mustShow, type ShownCheck } from "./expect.ts";
import { startEngineWithoutLimits, startShiftedClock, startStrictPool } from "./faults.ts";
import type { Operator } from "./operator.ts";
import { ETHER, RLC, type World } from "./world.ts";

const LIMIT_MS = 180_000;
const TEN_MINUTES = 600;

interface Sick {
  readonly operator: Operator;
  readonly env?: Readonly<Record<string, string>>;
  readonly before?: readonly string[];
}

interface Diagnosis {
  /** Id of the check that must fail, alone. */
  readonly check: string;
  readonly verdict?: "FAIL" | "WARN";
  /** What must be seen. */
  readonly seen: RegExp;
  /** The exact thing to do. */
  readonly fix: RegExp;
}

/** Doctor names exactly this, with its fix, and nothing else. */
async function diagnose({ operator, env, before }: Sick, expected: Diagnosis, signal: AbortSignal): Promise<ShownCheck> {
  const options = { ...(env === undefined ? {} : { env }), ...(before === undefined ? {} : { before }) };
  const { code, data } = await operator.json(["doctor"], signal, options);
  const { check, verdict = "FAIL", seen, fix } = expected;
  const checks = checksOf(data);
  const bad = checks.filter((each) => each.verdict === verdict);
  const failed = checks.filter((each) => each.verdict === "FAIL");
  mustBe("what doctor finds", bad.map(({ id }) => id).join(), check);
  if (verdict === "WARN") mustBe("what fails", failed.map(({ id }) => id).join(), "");
  mustBe("the exit code", code, verdict === "FAIL" ? EXIT.person : EXIT.ok);
  const [found] = bad;
  must(found !== undefined && seen.test(found.seen), `saw "${found?.seen}" instead of ${seen}`);
  must(fix.test(found.fix ?? ""), `its fix is "${found.fix}" instead of ${fix}`);
  return found;
}

const fault = (id: string, make: (world: World, signal: AbortSignal) => Promise<Sick>, expected: Diagnosis): Scenario<World> => ({
  id: `doctor-${id}`,
  timeoutMs: LIMIT_MS,
  async run(world, signal) {
    const { seen, fix } = await diagnose(await make(world, signal), expected, signal);
    return `${expected.check}: ${seen.slice(0, 120)} -> ${fix}`;
  },
});

/** Words in front of a command that give it a mount of its own, which goes with it. */
const onMount = (path: string, options: string): readonly string[] => [
  "unshare",
  "--mount",
  "bash",
  "-c",
  `mkdir -p '${path}' && mount -t tmpfs -o ${options} none '${path}' && exec "$@"`,
  "own-mount",
];

const strictPool = (world: World, signal: AbortSignal) =>
  world.shared("strict pool", async () => world.owned(await startStrictPool(world, "9.9.9", signal)));

/** The settings of somebody who joins the pool that insists on a version. */
export const inStrictPool = async (world: World, signal: AbortSignal): Promise<Readonly<Record<string, string>>> => {
  const { url, workerpool } = await strictPool(world, signal);
  return { IEXEC_CORE_URL: url, POOL_ADDRESS: workerpool };
};

const node = (...urls: readonly string[]) => ({ IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS: urls.join(",") });
const deadUrl = async () => `http://127.0.0.1:${await freePort()}`;

export const DOCTOR_SCENARIOS: readonly Scenario<World>[] = [
  {
    id: "doctor-healthy",
    short: true,
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const seen = mustEnd(await operator.run(["doctor"], signal), EXIT.ok);
      mustShow(seen, /Ready to work/, "Next: iexec-worker start", "this wallet may log in");
      const { data } = await operator.json(["doctor"], signal);
      const checks = checksOf(data);
      const bad = checks.filter(({ verdict }) => verdict === "FAIL" || verdict === "WARN");
      mustBe("what is wrong", bad.map(({ id }) => id).join(), "");
      return `${checks.length} checks, nothing wrong`;
    },
  },
  fault(
    "docker-down",
    async (world) => ({ operator: await world.operator(), env: { IEXEC_WORKER_DOCKER_SOCKET: "/nonexistent/docker.sock" } }),
    { check: "docker", seen: /SBX-1001 .*\/nonexistent\/docker\.sock/, fix: /Docker/ },
  ),
  fault("one-cpu", async (world) => ({ operator: await world.operator(), before: ["taskset", "-c", "0"] }), {
    check: "cpus",
    seen: /^1$/,
    fix: /at least 2 CPUs/,
  }),
  fault(
    "low-disk",
    async (world) => {
      const operator = await world.operator();
      return { operator, before: onMount(operator.env.IEXEC_WORKER_BASE_DIR ?? "", "size=32m") };
    },
    { check: "disk", seen: /3\d\.\d MiB free, 2\.0 GiB needed/, fix: /iexec-worker image prune|IEXEC_WORKER_BASE_DIR/ },
  ),
  {
    id: "doctor-clock-off",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const scheduler = await startShiftedClock(world.rig.network.schedulerUrl, TEN_MINUTES);
      const rpc = await startShiftedClock(world.rig.chain.rpcUrl, TEN_MINUTES);
      try {
        const env = { IEXEC_CORE_URL: scheduler.url, ...node(rpc.url) };
        const wrong = { check: "clock", seen: /this clock is (10m|9m 5\ds).* behind that of/, fix: /timedatectl set-ntp true/ };
        const { seen } = await diagnose({ operator, env }, wrong, signal);
        const theirs = {
          check: "clock",
          verdict: "WARN",
          seen: /behind that of the node; the others agree/,
          fix: /tell the operator/,
        } as const;
        await diagnose({ operator, env: node(rpc.url) }, theirs, signal);
        return `${seen}; when only the node's clock is off, that is what is said`;
      } finally {
        await Promise.all([scheduler.close(), rpc.close()]);
      }
    },
  },
  {
    id: "doctor-rpc-down",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const dead = await deadUrl();
      const fix = /IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS/;
      const { seen } = await diagnose({ operator, env: node(dead) }, { check: "nodes", seen: new RegExp(dead), fix }, signal);
      const half = { check: "nodes", verdict: "WARN", seen: new RegExp(dead), fix: /replace or remove the node/ } as const;
      await diagnose({ operator, env: node(world.rig.chain.rpcUrl, dead) }, half, signal);
      return `${seen}; with one good node of two only a warning`;
    },
  },
  {
    id: "doctor-wrong-chain",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      const proxy = await startRpcFaultProxy(world.rig.chain.rpcUrl);
      proxy.faults.chainId = 1;
      try {
        const expected = { check: "nodes", seen: /wrong-chain/, fix: /IEXEC_WORKER_OVERRIDE_BLOCKCHAIN_NODE_ADDRESS/ };
        const { seen } = await diagnose({ operator, env: node(proxy.url) }, expected, signal);
        return seen;
      } finally {
        await proxy.stop();
      }
    },
  },
  {
    id: "doctor-stake-too-low",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.veteran(signal);
      const { stake } = (await world.rig.chain.balancesOf([operator.address])).get(operator.address) ?? { stake: 0n };
      mustEnd(await operator.run(["wallet", "withdraw", `${stake - RLC / 10n} nRLC`, "--yes"], signal), EXIT.ok);
      const expected = { check: "stake", seen: /0\.1 RLC free.*took 0\.3 RLC each/, fix: /^iexec-worker wallet deposit 0\.2$/ };
      const { fix } = await diagnose({ operator }, expected, signal);
      const [, ...words] = (fix ?? "").split(" ");
      mustEnd(await operator.run([...words, "--yes"], signal), EXIT.ok);
      const { code } = await operator.json(["doctor"], signal);
      mustBe("doctor after its own fix", code, EXIT.ok);
      return `${fix}: done as it says, nothing is wrong any more`;
    },
  },
  fault("no-gas", async (world) => ({ operator: await world.operator({ funds: { stake: RLC } }) }), {
    check: "gas",
    seen: /^0\.0 ETH, 0 tasks/,
    fix: /^send ETH to 0x[0-9a-f]{40}$/,
  }),
  fault("pool-address-wrong", async (world) => ({ operator: await world.operator(), env: { POOL_ADDRESS: `0x${"7".repeat(40)}` } }), {
    check: "pool-address",
    seen: /the scheduler names 0x[0-9a-f]{40}, POOL_ADDRESS says 0x7{40}/,
    fix: /correct one of them/,
  }),
  fault(
    "scheduler-down",
    async (world) => ({ operator: await world.operator({ env: node(world.rig.chain.rpcUrl) }), env: { IEXEC_CORE_URL: await deadUrl() } }),
    {
      check: "scheduler,nodes",
      seen: /WIR-1001/,
      fix: /IEXEC_CORE_URL/,
    },
  ),
  fault("version-refused", async (world, signal) => ({ operator: await world.operator(), env: await inStrictPool(world, signal) }), {
    check: "version",
    seen: /the pool requires 9\.9\.9, this worker announces/,
    fix: /IEXEC_WORKER_ANNOUNCE_VERSION=9\.9\.9/,
  }),
  {
    id: "doctor-wallet-file",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const missing = await world.operator({ wallet: false });
      await diagnose({ operator: missing }, { check: "wallet-file", seen: /SVC-1303/, fix: /^iexec-worker wallet create$/ }, signal);
      const garbled = await world.operator();
      await writeFile(garbled.walletPath, '{"version":3}');
      await diagnose({ operator: garbled }, { check: "wallet-file", seen: /SVC-1301/, fix: /keystore|wallet/i }, signal);
      const open = await world.operator();
      await chmod(open.walletPath, 0o644);
      const fix = /^chmod 600 /;
      await diagnose({ operator: open }, { check: "wallet-file", verdict: "WARN", seen: /mode 0644/, fix }, signal);
      mustEnd(await open.run(["doctor", "--fix"], signal), EXIT.ok);
      mustBe("the mode after --fix", ((await stat(open.walletPath)).mode & 0o777).toString(8), "600");
      return "missing, not a keystore, and open to others, each with its fix; --fix closed the last";
    },
  },
  fault(
    "password-wrong",
    async (world) => {
      const operator = await world.operator();
      return { operator, env: { IEXEC_WORKER_WALLET_PASSWORD_FILE: await operator.file("wrong", world.password("a guess")) } };
    },
    { check: "wallet-password", seen: /SVC-1302/, fix: /password/i },
  ),
  fault(
    "state-not-writable",
    async (world) => {
      const operator = await world.operator();
      return { operator, before: onMount(operator.env.IEXEC_WORKER_STATE_DIR ?? "", "ro,size=1m") };
    },
    { check: "folders", seen: /state is not writable/, fix: /chown .* or set IEXEC_WORKER_STATE_DIR/ },
  ),
  {
    id: "doctor-sgx-absent",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator({ env: { IEXEC_WORKER_SGX_DRIVER_MODE: "NATIVE" } });
      const { code, data } = await operator.json(["doctor"], signal);
      const steps = checksOf(data).filter(({ id }) => id.startsWith("sgx-"));
      mustBe("the steps", steps.map(({ id }) => id).join(), "sgx-cpu,sgx-bios,sgx-driver,sgx-kernel");
      const missing = steps.findIndex(({ verdict }) => verdict !== "PASS");
      const step = steps[missing];
      if (step === undefined) return "this machine has SGX; every step passes";
      mustBe("the first step that is missing", step.verdict, "FAIL");
      must(
        steps.slice(missing + 1).every(({ verdict }) => verdict === "SKIP"),
        "the steps after it are not skipped",
      );
      must((step.fix ?? "") !== "" && (step.cause ?? "").includes("WRK-1601"), `it says "${step.fix}"`);
      mustBe("the exit code", code, EXIT.person);
      return `${step.seen} -> ${step.fix?.slice(0, 120)}`;
    },
  },
  fault(
    "limits-ignored",
    async (world, signal) => {
      const engine = await world.shared("lesser engine", async () => world.owned(await startEngineWithoutLimits(world, signal)));
      return { operator: await world.operator(), env: { IEXEC_WORKER_DOCKER_SOCKET: engine.socket } };
    },
    { check: "limits", seen: /the engine ignores: .*memory/, fix: /enable these cgroup controllers/ },
  ),
  fault("no-stake", async (world) => ({ operator: await world.operator({ funds: { ether: ETHER } }) }), {
    check: "stake",
    verdict: "WARN",
    seen: /0\.0 RLC free/,
    fix: /^iexec-worker wallet deposit AMOUNT$/,
  }),
  {
    id: "doctor-fix-folders",
    timeoutMs: LIMIT_MS,
    async run(world, signal) {
      const operator = await world.operator();
      mustEnd(await operator.run(["doctor", "--fix"], signal), EXIT.ok);
      for (const path of [operator.env.IEXEC_WORKER_STATE_DIR, `${operator.env.IEXEC_WORKER_BASE_DIR}/${operator.name}`])
        must((await stat(path ?? "")).isDirectory(), `${path} was not made`);
      return "--fix made the folders";
    },
  },
];
