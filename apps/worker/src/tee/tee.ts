import type { TaskId, TeeFramework } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import type { WorkerSettings } from "../config.ts";
import type { TeeSight } from "./sight.ts";
import { sgxSteps, sgxUsable, tdxStep, tdxUsable, teeSummary } from "./steps.ts";

export type TeeKind = "sgx" | "tdx";
const KIND: Readonly<Record<TeeFramework, TeeKind>> = { scone: "sgx", gramine: "sgx", tdx: "tdx" };

/** What a container of a TEE task gets of the host. @source compute.md 4.2, 4.5, 4.7 */
export interface TeeHost {
  readonly devices: readonly { readonly host: string; readonly container: string }[];
  /** Attestation of Gramine enclaves. */
  readonly aesmSocket: string | undefined;
  /** Fetches the session of a TDX task. */
  readonly agent: string | undefined;
}

/** What runs the tasks of one framework: attestation service (LAS), session and containers. None is part of this worker yet. */
export interface TeeBackend {
  readonly framework: TeeFramework;
}

/** Trusted execution as the rest of the worker sees it. */
export interface Tee {
  /** Asked for by the settings and really there. */
  readonly ready: Readonly<Record<TeeKind, boolean>>;
  readonly host: TeeHost;
  /** What the scheduler is told: a kind that is ready and that one of our backends runs tasks on. */
  readonly registration: { readonly teeEnabled: boolean; readonly tdxEnabled: boolean };
  /** What was asked for and is not there. */
  readonly problems: readonly CodedError[];
  /** One line for the operator. */
  readonly summary: string;
  /**
   * Why a task of this framework cannot run here, or undefined when it can.
   *
   * @param framework - undefined: the tag demands an enclave, but of no kind that exists
   */
  refusal(taskId: TaskId, framework: TeeFramework | undefined): CodedError | undefined;
}

/** The enclave device keeps the name that images expect, whatever the host calls it. */
function devicesOf({ sgx, tdx }: TeeSight, ready: Tee["ready"], mode: WorkerSettings["sgxDriverMode"]): TeeHost["devices"] {
  const named = (host: string | undefined, container: string) => (host === undefined ? [] : [{ host, container }]);
  const enclave =
    mode === "LEGACY"
      ? named(sgx.isgx, "/dev/isgx")
      : [...named(sgx.enclave, "/dev/sgx/enclave"), ...named(sgx.provision, "/dev/sgx/provision")];
  const guest = tdx.guest?.startsWith("/dev/") === true ? named(tdx.guest, tdx.guest) : [];
  return [...(ready.sgx ? enclave : []), ...(ready.tdx ? guest : [])];
}

/** Pure. @param backends - what this worker can run tasks with */
export function teeOf(settings: Pick<WorkerSettings, "sgxDriverMode" | "tdx">, sight: TeeSight, backends: readonly TeeBackend[] = []): Tee {
  const { sgxDriverMode: mode, tdx } = settings;
  const ready = { sgx: sgxUsable(sight, mode), tdx: tdx && tdxUsable(sight) };
  const runs = (kind: TeeKind) => backends.some(({ framework }) => KIND[framework] === kind);
  const missing = mode === "NONE" ? undefined : sgxSteps(sight, mode).find(({ ok }) => !ok);
  const problems = [
    ...(missing === undefined
      ? []
      : [new CodedError("WRK-1601", { hardware: "SGX", reason: missing.seen, setting: "IEXEC_WORKER_SGX_DRIVER_MODE", off: "NONE" })]),
    ...(tdx && !ready.tdx
      ? [new CodedError("WRK-1601", { hardware: "TDX", reason: tdxStep(sight).seen, setting: "IEXEC_WORKER_TDX_ENABLED", off: "false" })]
      : []),
  ];
  return {
    ready,
    host: { devices: devicesOf(sight, ready, mode), aesmSocket: sight.sgx.aesmSocket, agent: sight.tdx.agent },
    registration: { teeEnabled: ready.sgx && runs("sgx"), tdxEnabled: ready.tdx && runs("tdx") },
    problems,
    summary: teeSummary(sight),
    refusal(taskId, framework) {
      if (framework === undefined)
        return new CodedError("WRK-1307", { taskId, framework: "an enclave", reason: "its tag names no framework that exists" });
      const kind = KIND[framework];
      const asked = kind === "sgx" ? mode !== "NONE" : tdx;
      if (ready[kind] && backends.some((backend) => backend.framework === framework)) return undefined;
      const reason = ready[kind]
        ? "this version of the worker does not run its tasks yet"
        : asked
          ? `${kind.toUpperCase()} is not usable on this machine`
          : `${kind.toUpperCase()} is not asked for in the settings`;
      return new CodedError("WRK-1307", { taskId, framework, reason });
    },
  };
}
