import { randomBytes } from "node:crypto";
import { type Clock, hasCode } from "@iexec-ts/service";
import type { Limits, NetworkPolicy, Running, RunResult, RunSpec } from "./api.ts";
import type { Engine } from "./engine.ts";
import { statsSchema } from "./engine-schemas.ts";
import type { IsolationReport } from "./prove-isolation.ts";
import { isGvisor } from "./runtimes.ts";

export type ProvedLimit =
  | "memory"
  | "pids"
  | "cpus"
  | "capabilities"
  | "no-new-privileges"
  | "system-calls"
  | "root-file-system"
  | "network";

export interface LimitProof {
  readonly limit: ProvedLimit;
  readonly proven: boolean;
  /** What the probe saw, in a few words. */
  readonly seen: string;
}

export interface ProofPorts {
  readonly clock: Clock;
  readonly engine: Engine;
  readonly runtime: string;
  readonly run: (spec: RunSpec, signal?: AbortSignal) => Promise<Running>;
  readonly proveEgress: () => Promise<IsolationReport>;
}

const MIB = 1024 * 1024;
/** Generous: on a host with much to do a probe is slow, and one that is cut off would count as no proof. */
const PROBE_MS = 300_000;
const PIDS = 64;
const CPUS = 0.5;
/** The scheduler of the kernel works in periods; this much more than the limit is measured where it holds. */
const CPU_TOLERANCE = 1.35;
const LIMITS: Limits = { memoryBytes: 64 * MIB, cpus: CPUS, pids: PIDS, tmpBytes: MIB, outputBytes: MIB, logBytes: 64 * 1024 };
/** More than any limit of the probe, less than any host has. */
const GREED_BYTES = 400_000_000;

/** @param forks - processes to try to start; under gVisor each costs much and none proves anything */
const scriptOf = (forks: number): string => `grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
echo "kernel: $(cat /proc/version)"
if (echo x >/probe) 2>/dev/null; then echo 'root: writable'; else echo 'root: read-only'; fi
echo "routes: $(grep -vc Iface /proc/net/route)"
(while :; do :; done) & a=$!
(while :; do :; done) & b=$!
sleep 3
kill -9 $a $b
wait $a $b 2>/dev/null
(n=0; while [ $n -lt ${forks} ]; do sleep 5 & n=$((n+1)); echo "started: $n"; done) 2>/dev/null
echo end
`;

/**
 * Lets containers try to exceed what they are given, under the runtime and network of the worker's apps: memory, processes, CPU,
 * capabilities, privileges, the root file system, and the network.
 *
 * A runtime whose guest does not show a limit is judged by what the host's kernel says of the container.
 *
 * Errors: as `Sandbox.run`; SBX-1203 when the probe does not start.
 * SIDE EFFECTS: runs and removes two or three containers; several seconds of at most one CPU.
 * @source promises.md 2.16
 */
export async function proveLimits(
  ports: ProofPorts,
  image: string,
  labels: Readonly<Record<string, string>>,
  network: NetworkPolicy,
  signal?: AbortSignal,
): Promise<LimitProof[]> {
  const probe = async (args: readonly string[], look: (running: Running) => Promise<unknown> = async () => undefined) => {
    const spec: RunSpec = {
      name: `iexec-probe-${randomBytes(6).toString("hex")}`,
      image,
      args,
      env: { PATH: "/bin:/usr/bin:/sbin:/usr/sbin" },
      labels,
      mounts: [],
      limits: LIMITS,
      network: "none",
      deadline: new Date(ports.clock.now().getTime() + PROBE_MS),
    };
    const running = await ports.run(spec, signal);
    try {
      const seen = await look(running);
      return { result: await running.wait(signal), seen };
    } finally {
      await running.remove();
    }
  };
  let kernel: KernelView = {};
  const { result } = await probe(["/bin/sh", "-c", scriptOf(isGvisor(ports.runtime) ? 1 : 4 * PIDS)], async ({ id }) => {
    kernel = await kernelView(ports, id, signal);
  });
  const greedy = await probe(["/bin/sh", "-c", `tail -c ${GREED_BYTES} /dev/zero >/dev/null; echo survived`]);
  const limits = [...readLimits(result, kernel, isGvisor(ports.runtime)), memoryProof(greedy.result)];
  if (network === "isolated") limits.push(await egressProof(ports));
  return limits;
}

interface KernelView {
  readonly pids?: number;
  /** CPUs used while the container's loops ran. */
  readonly cpus?: number;
}

/** Between the two readings of the CPU counter; the loops of the probe last longer. */
const READING_MS = 1_200;

/** What the host's kernel says of a running container, as far as the engine tells: a guest kernel counts in its own way. */
async function kernelView({ engine, clock }: ProofPorts, id: string, signal?: AbortSignal): Promise<KernelView> {
  const read = async () => {
    const stats = await engine.json(
      { method: "GET", path: `/containers/${id}/stats`, query: { stream: false, "one-shot": true } },
      statsSchema,
      { what: "read the counters of a container", signal, on: { 404: () => undefined, 409: () => undefined } },
    );
    return {
      at: new Date(stats?.read ?? Number.NaN).getTime(),
      used: stats?.cpu_stats?.cpu_usage?.total_usage,
      pids: stats?.pids_stats?.limit,
    };
  };
  const first = await read();
  await clock.sleep(READING_MS, signal);
  const second = await read();
  const cpus = ((second.used ?? Number.NaN) - (first.used ?? Number.NaN)) / 1e6 / (second.at - first.at);
  return { ...(typeof first.pids === "number" ? { pids: first.pids } : {}), ...(Number.isFinite(cpus) ? { cpus } : {}) };
}

/** What the probe's own words prove. Exported for its tests. */
export function readLimits({ stdout }: Pick<RunResult, "stdout">, kernel: KernelView, gvisor: boolean): LimitProof[] {
  const { text } = stdout;
  const field = (name: string): string | undefined => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(text)?.[1]?.trim();
  const none = (hex: string | undefined): boolean => hex !== undefined && /^0+$/.test(hex);
  const bounding = field("CapBnd");
  const started = Math.max(0, ...[...text.matchAll(/^started: (\d+)$/gm)].map((match) => Number(match[1])));
  const kernelName = field("kernel") ?? "";
  return [
    { limit: "capabilities", proven: none(field("CapEff")) && none(bounding), seen: `effective ${field("CapEff")}, bounding ${bounding}` },
    gvisor
      ? {
          limit: "no-new-privileges",
          proven: none(bounding),
          seen: "gVisor does not show it; nothing can be gained from an empty bounding set",
        }
      : { limit: "no-new-privileges", proven: field("NoNewPrivs") === "1", seen: `NoNewPrivs ${field("NoNewPrivs")}` },
    gvisor
      ? { limit: "system-calls", proven: kernelName.startsWith("Linux version 4.4.0"), seen: `answered by ${kernelName.slice(0, 40)}` }
      : { limit: "system-calls", proven: field("Seccomp") === "2", seen: `Seccomp ${field("Seccomp")}` },
    { limit: "root-file-system", proven: field("root") === "read-only", seen: field("root") ?? "unknown" },
    {
      limit: "cpus",
      proven: kernel.cpus !== undefined && kernel.cpus > 0 && kernel.cpus <= CPUS * CPU_TOLERANCE,
      seen: `two loops used ${kernel.cpus?.toFixed(2) ?? "an unknown part"} of ${CPUS} CPUs`,
    },
    pidsProof(started, kernel, gvisor),
    ...(field("routes") === "0" ? [] : [{ limit: "network", proven: false, seen: "a container without network has a route" } as const]),
  ];
}

function pidsProof(started: number, { pids }: KernelView, gvisor: boolean): LimitProof {
  if (gvisor)
    return {
      limit: "pids",
      proven: pids !== undefined && pids > 0,
      seen: `the kernel allows the sandbox ${pids ?? "any number of"} tasks`,
    };
  return { limit: "pids", proven: started > 0 && started < PIDS, seen: `${started} processes of ${PIDS} started` };
}

const memoryProof = ({ exitCode, oomKilled, stdout }: RunResult): LimitProof => ({
  limit: "memory",
  proven: oomKilled || exitCode === 137,
  seen:
    oomKilled || exitCode === 137
      ? "killed at its limit"
      : `took ${GREED_BYTES} bytes${stdout.text.includes("survived") ? " and survived" : ""}`,
});

async function egressProof({ proveEgress }: ProofPorts): Promise<LimitProof> {
  try {
    const { proven, reached, rejectedPackets, ipv6 } = await proveEgress();
    const addresses = reached.map(({ address, port }) => `${address}:${port}`);
    const seen = [
      reached.length === 0 ? "nothing near was reached" : `reached ${addresses.join(", ")}`,
      `${rejectedPackets} packets rejected`,
      ...(ipv6 ? ["has an IPv6 address"] : []),
    ];
    return { limit: "network", proven, seen: seen.join(", ") };
  } catch (thrown) {
    if (hasCode(thrown, "SBX-1401") || hasCode(thrown, "SBX-1403")) return { limit: "network", proven: false, seen: String(thrown) };
    throw thrown;
  }
}
