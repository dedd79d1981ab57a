import { access, chmod, constants, mkdir, statfs } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { CodedError, openScope, readKeystore } from "@iexec-ts/service";
import { freeMib, slotsOf } from "../../host-check.ts";
import { readProof } from "../../isolation.ts";
import { modeOf } from "../../wallet/keys.ts";
import { withSandbox } from "../commands/image.ts";
import { walletsWithJournal } from "../facts/journal-facts.ts";
import { bytes } from "../view/bytes.ts";
import { type Check, failed, pass, skip, warn } from "./check.ts";

const LEAST_NODE = 24;
const LEAST_CPUS = 2;
const MIB = 1_048_576;
const ENGINE_MS = 15_000;

async function isWritable(path: string): Promise<boolean> {
  return access(path, constants.W_OK | constants.R_OK).then(
    () => true,
    () => false,
  );
}

/** The nearest folder above that exists. */
async function existing(path: string): Promise<string> {
  // Bounded: the path gets shorter until the root is reached.
  for (let at = path; ; at = dirname(at)) {
    const there = await statfs(at).then(
      () => true,
      () => false,
    );
    if (there || at === dirname(at)) return at;
  }
}

export const HOST_CHECKS: readonly Check[] = [
  {
    id: "node",
    title: "Node.js",
    async run() {
      const [major = 0] = process.versions.node.split(".").map(Number);
      return major >= LEAST_NODE
        ? pass(process.version)
        : failed(process.version, `install Node.js ${LEAST_NODE} or newer`, "the worker uses parts of Node that older versions lack");
    },
  },
  {
    id: "cpus",
    title: "CPUs",
    async run({ settings }) {
      const cpus = availableParallelism();
      return cpus >= LEAST_CPUS
        ? pass(`${cpus}, ${slotsOf(settings)} tasks at once`)
        : failed(`${cpus}`, `give this machine at least ${LEAST_CPUS} CPUs`, "one CPU is kept for the worker itself (WRK-1002)");
    },
  },
  {
    id: "folders",
    title: "folders",
    async run({ settings }, { repair }) {
      const folders = [
        ["IEXEC_WORKER_BASE_DIR", join(settings.baseDir, settings.name)],
        ["IEXEC_WORKER_STATE_DIR", settings.stateDir],
      ] as const;
      for (const [name, path] of folders) {
        if (repair) await mkdir(path, { recursive: true, mode: 0o755 }).catch(() => undefined);
        const at = await existing(path);
        if (!(await isWritable(at)))
          return failed(
            `${path} is not writable`,
            `sudo mkdir -p ${path} && sudo chown $(id -u) ${path}, or set ${name}`,
            "journal and tasks' files live there (WRK-1006)",
          );
      }
      return pass(folders.map(([, path]) => path).join(", "));
    },
  },
  {
    id: "disk",
    title: "disk",
    after: ["folders"],
    async run({ settings }) {
      const free = await freeMib(await existing(settings.baseDir));
      const seen = `${bytes(free * MIB)} free, ${bytes(settings.minFreeMib * MIB)} needed to ask for tasks`;
      return free >= settings.minFreeMib
        ? pass(seen)
        : failed(seen, "iexec-worker image prune, or set IEXEC_WORKER_BASE_DIR to a larger disk (WRK-1003)");
    },
  },
  {
    id: "wallet-file",
    title: "wallet file",
    async run({ settings }, { local, repair }) {
      const { walletProblem: problem } = local;
      if (problem !== undefined)
        return failed(`${problem.code} ${problem.message}`, problem.code === "SVC-1303" ? "iexec-worker wallet create" : problem.fix);
      let mode = await modeOf(settings.walletPath);
      if (mode !== undefined && !mode.endsWith("00") && repair) {
        await chmod(settings.walletPath, 0o600).catch(() => undefined);
        mode = await modeOf(settings.walletPath);
      }
      if (mode?.endsWith("00") !== true)
        return warn(`mode ${mode}: others can read it`, `chmod 600 ${settings.walletPath} (or doctor --fix)`);
      return pass(`${local.wallet ?? settings.walletPath}, mode ${mode}`);
    },
  },
  {
    id: "wallet-password",
    title: "password",
    after: ["wallet-file"],
    async run({ settings }, { local }) {
      if (settings.walletPassword === undefined)
        return skip("no password in the settings; `start` needs IEXEC_WORKER_WALLET_PASSWORD_FILE");
      try {
        const { address } = await readKeystore(settings.walletPath, settings.walletPassword.reveal());
        return local.wallet === undefined || local.wallet === address
          ? pass("opens the wallet")
          : failed(`opens ${address}`, "check the wallet file");
      } catch (thrown) {
        const error = CodedError.from(thrown);
        return failed(`${error.code} ${error.message}`, error.fix);
      }
    },
  },
  {
    id: "journal",
    title: "journal",
    async run({ settings }, { local }) {
      const others = walletsWithJournal(settings.stateDir).filter((wallet) => wallet !== local.wallet);
      const open = (local.journal?.replicates ?? []).filter(({ closedAt }) => closedAt === undefined).length;
      const mine = local.journal === undefined ? "none yet" : `${local.journal.replicates.length} tasks, ${open} open`;
      if (local.journal === undefined && others.length > 0)
        return warn(
          `${mine}, but one of ${others.join(", ")} is there`,
          "if that was this worker's wallet, start with it until its reveals are done (WRK-1302)",
        );
      return pass(mine);
    },
  },
  {
    id: "docker",
    title: "Docker",
    async run(context) {
      try {
        using limit = openScope([context.signal], { ms: ENGINE_MS });
        const report = await withSandbox(context, (sandbox) => sandbox.inspectEngine(limit.signal));
        const runtime = context.settings.network === "none" ? report.runtime : report.networkRuntime;
        if (runtime === undefined) throw new CodedError("SBX-1403", { runtime: report.runtime });
        return pass(`${report.version}, runtime ${runtime}, cgroup v${report.cgroupVersion}${report.rootless ? ", rootless" : ""}`);
      } catch (thrown) {
        const error = CodedError.from(thrown);
        return failed(`${error.code} ${error.message}`, error.fix);
      }
    },
  },
  {
    id: "limits",
    title: "limits",
    after: ["docker"],
    async run(context) {
      using limit = openScope([context.signal], { ms: ENGINE_MS });
      const { ignoredLimits } = await withSandbox(context, (sandbox) => sandbox.inspectEngine(limit.signal));
      const proof = await readProof(join(context.settings.baseDir, "isolation.json"));
      if (proof?.proven === false) {
        const missing = proof.limits.filter(({ proven }) => !proven).map(({ limit, seen }) => `${limit} (${seen})`);
        return failed(
          `not proved on this host: ${missing.join("; ")}`,
          "repair what is named (docs/security.md), then start the worker again (SBX-1501)",
        );
      }
      const proved = proof === undefined ? "to be proved at the worker's first start" : `proved under ${proof.runtime} at ${proof.at}`;
      return ignoredLimits.length === 0
        ? pass(`memory, CPU and process limits are honoured; ${proved}`)
        : failed(
            `the engine ignores: ${ignoredLimits.join("; ")}`,
            "enable these cgroup controllers for the engine, then restart it",
            "an app could take more than its share",
          );
    },
  },
  {
    id: "egress",
    title: "app network",
    after: ["docker"],
    async run(context, { repair }) {
      if (context.settings.network === "none") return pass("apps get no network at all");
      if (!repair) return skip("the firewall rules are written by the worker at its start; doctor --fix writes them now");
      using limit = openScope([context.signal], { ms: ENGINE_MS });
      const guarded = await withSandbox(context, (sandbox) => sandbox.guardEgress(limit.signal)).catch(() => false);
      return guarded
        ? pass("apps reach the internet, never this host or its neighbours")
        : warn(
            "the firewall rules could not be written",
            "run as root, or set IEXEC_WORKER_TASK_NETWORK=none",
            "apps could reach private networks of this host",
          );
    },
  },
];
