import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { type Clock, CodedError } from "@iexec-ts/service";
import type { Limits, Running, RunSpec } from "./api.ts";
import { type EgressRules, type Firewall, rejectedPackets } from "./egress-guard.ts";

export interface IsolationTarget {
  readonly address: string;
  readonly port: number;
}

export interface IsolationReport {
  /** Nothing was reached, and the firewall counted a rejected packet for each attempt. */
  readonly proven: boolean;
  readonly reached: readonly IsolationTarget[];
  readonly blocked: readonly IsolationTarget[];
  /** Packets our rules rejected during the probe; 0 when the rules are missing or stand in another network namespace. */
  readonly rejectedPackets: number;
  /** The probe saw an IPv6 address other than loopback and link-local, which the rules do not cover. */
  readonly ipv6: boolean;
}

export interface ProbePorts {
  readonly clock: Clock;
  readonly firewall: Firewall;
  readonly rules: EgressRules;
  readonly run: (spec: RunSpec, signal?: AbortSignal) => Promise<Running>;
}

const METADATA: IsolationTarget = { address: "169.254.169.254", port: 80 };
const PROBE_MS = 60_000;
const MIB = 1024 * 1024;
const LIMITS: Limits = { memoryBytes: 64 * MIB, cpus: 1, pids: 64, tmpBytes: MIB, outputBytes: MIB, logBytes: 16 * 1024 };

/**
 * Starts a container under the policy `isolated` and lets it try what it must not reach: each IPv4 address of this host (the gateways of
 * all bridges among them) on a port where this process listens, the cloud metadata address, and the given targets.
 *
 * Covered: IPv4, TCP, from one container at this moment. Not covered: ranges of the operator's network that are not private (add them to
 * `egress.block`), UDP, what the allow-list opens, and a packet filter that is reloaded later (the rules are checked before each run).
 *
 * @param image - holds `/bin/sh` and `nc` (busybox); it must be on this host
 * @param extra - further addresses that must not be reached, for example a host of the local network
 *
 * Errors: as `Sandbox.run`; SBX-1203 when the probe itself does not work in this image.
 * SIDE EFFECTS: listens on a free port for the time of the probe; creates, runs and removes a container and a network.
 */
export async function proveIsolation(
  ports: ProbePorts,
  image: string,
  labels: Readonly<Record<string, string>>,
  extra: readonly IsolationTarget[] = [],
  signal?: AbortSignal,
): Promise<IsolationReport> {
  const { server, port } = await listen();
  try {
    const host = Object.values(networkInterfaces())
      .flatMap((addresses) => addresses ?? [])
      .filter(({ family, internal }) => family === "IPv4" && !internal)
      .map(({ address }) => ({ address, port }));
    const targets = [...host, METADATA, ...extra];
    const before = await countRejected(ports, signal);
    const text = await probe(ports, image, labels, targets, port, signal);
    const after = await countRejected(ports, signal);

    const reached = targets.filter((target) => text.includes(`reached ${target.address}:${target.port}\n`));
    const blocked = targets.filter((target) => text.includes(`blocked ${target.address}:${target.port}\n`));
    const gatewayReached = text.includes("reached gateway\n");
    if (reached.length + blocked.length !== targets.length) {
      throw new CodedError("SBX-1203", { name: "isolation probe", reason: "the image has no working sh and nc" });
    }
    const rejected = after - before;
    const ipv6 = text.includes("ipv6 yes\n");
    // One more attempt than targets: the gateway of the probe's own network.
    const proven = reached.length === 0 && !gatewayReached && !ipv6 && rejected >= targets.length + 1;
    return { proven, reached, blocked, rejectedPackets: rejected, ipv6 };
  } finally {
    server.close();
  }
}

async function probe(
  { clock, run }: ProbePorts,
  image: string,
  labels: Readonly<Record<string, string>>,
  targets: readonly IsolationTarget[],
  port: number,
  signal?: AbortSignal,
): Promise<string> {
  const attempt = (name: string, address: string, at: number) =>
    `if nc -w 3 ${address} ${at} </dev/null >/dev/null 2>&1; then echo "reached ${name}"; else echo "blocked ${name}"; fi`;
  const script = [
    ...targets.map((target) => attempt(`${target.address}:${target.port}`, target.address, target.port)),
    // Little-endian hexadecimal gateway of the default route.
    `g=$(while read -r i d g r; do if [ "$d" = 00000000 ]; then echo "$g"; fi; done </proc/net/route)`,
    `a=$(printf '%d.%d.%d.%d' 0x\${g#??????} 0x$(echo \${g#????} | cut -c1-2) 0x$(echo \${g#??} | cut -c1-2) 0x$(echo $g | cut -c1-2))`,
    attempt("gateway", "$a", port),
    "if grep -v ' lo$' /proc/net/if_inet6 2>/dev/null | grep -qv '^fe80'; then echo 'ipv6 yes'; else echo 'ipv6 no'; fi",
  ].join("\n");
  const running = await run(
    {
      name: `iexec-probe-${randomBytes(6).toString("hex")}`,
      image,
      args: ["/bin/sh", "-c", script],
      env: { PATH: "/bin:/usr/bin:/sbin:/usr/sbin" },
      labels,
      mounts: [],
      limits: LIMITS,
      network: "isolated",
      deadline: new Date(clock.now().getTime() + PROBE_MS),
    },
    signal,
  );
  try {
    const { stdout } = await running.wait(signal);
    return stdout.text;
  } finally {
    await running.remove();
  }
}

/** No counters means no rules we could prove. */
async function countRejected({ firewall, rules }: ProbePorts, signal?: AbortSignal): Promise<number> {
  try {
    return await rejectedPackets(firewall, rules, signal);
  } catch {
    signal?.throwIfAborted();
    return 0;
  }
}

function listen(): Promise<{ server: Server; port: number }> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.end());
    server.once("error", reject);
    server.listen(0, "0.0.0.0", () => {
      const address = server.address();
      if (address === null || typeof address === "string") reject(new Error("no port"));
      else resolve({ server, port: address.port });
    });
  });
}
