import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { isIP, isIPv4 } from "node:net";
import { CodedError } from "@iexec-ts/service";
import { shorten } from "./engine.ts";
import type { AllowedAddress, EgressOptions } from "./options.ts";

/** Commands of the host's packet filter; one port, so that the rules can be tested without touching a host. */
export interface Firewall {
  /** Runs `iptables` with these arguments; resolves with its output. Rejects when it fails. */
  iptables(args: readonly string[], signal?: AbortSignal): Promise<string>;
  /** Feeds `iptables-restore --noflush`: chains named in it are replaced in one step, others are left alone. */
  restore(rules: string, signal?: AbortSignal): Promise<void>;
}

/** Ranges an untrusted app has no business in. @source compute.md 6.5 */
export const PRIVATE_RANGES = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/4",
  "240.0.0.0/4",
] as const;

const COMMAND_TIMEOUT_MS = 15_000;
const MAX_OUTPUT_BYTES = 1024 * 1024;

/** The host's own packet filter. Needs root; waits for the lock that other programs (the engine among them) also take. */
export const hostFirewall: Firewall = {
  iptables: (args, signal) => runTool("iptables", ["-w", "10", ...args], "", signal),
  restore: async (rules, signal) => {
    await runTool("iptables-restore", ["-w", "10", "--noflush"], rules, signal);
  },
};

function runTool(tool: string, args: readonly string[], input: string, signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: COMMAND_TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES, ...(signal === undefined ? {} : { signal }) };
    const child = execFile(tool, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(stderr.trim() || error.message, { cause: error }));
    });
    // The tool may fail before it has read its input; its exit status tells why.
    child.stdin?.on("error", () => child.stdin?.destroy());
    child.stdin?.end(input);
  });
}

/** The rules of one setting. Their names carry a hash of the setting, so workers with different settings do not meet. */
export interface EgressRules {
  /** First characters of the bridge names these rules apply to. */
  readonly bridgePrefix: string;
  readonly forwardChain: string;
  readonly hostChain: string;
  /** Input of `iptables-restore --noflush`. */
  readonly restore: string;
  readonly jumps: readonly (readonly [chain: string, rule: readonly string[]])[];
  readonly dns: readonly string[];
}

const CIDR = /^(\d{1,3}(?:\.\d{1,3}){3})(?:\/(\d|[12]\d|3[0-2]))?$/;

function checkCidr(cidr: string): string {
  const address = CIDR.exec(cidr)?.[1];
  if (address === undefined || !isIPv4(address)) throw new CodedError("SBX-1401", { reason: `${cidr} is not an IPv4 range` });
  return cidr;
}

/**
 * Rules for everything that enters the host through one of our bridges.
 *
 * Forwarded packets: allowed addresses and the resolvers pass on to the engine's own rules, blocked ranges are rejected, the rest passes.
 * Packets for the host itself, whichever of its addresses they use: all rejected but the allowed ones. Rejected, not dropped: an app then
 * fails at once instead of waiting out its time limit.
 *
 * Errors: SBX-1401 for a malformed range.
 */
export function egressRules({ allow = [], block = [] }: EgressOptions, dns: readonly string[]): EgressRules {
  const pass: string[] = [...allow.flatMap(allowMatch), ...dns.filter((address) => isIPv4(address)).flatMap(dnsMatch)];
  const blocked = [...PRIVATE_RANGES, ...block.map(checkCidr)];
  const reject = "-j REJECT --reject-with icmp-admin-prohibited";
  const id = createHash("sha256")
    .update(JSON.stringify([pass, blocked]))
    .digest("hex")
    .slice(0, 4);
  const forwardChain = `IEXEC-FWD-${id}`;
  const hostChain = `IEXEC-HOST-${id}`;
  const bridgePrefix = `ix${id}`;
  const lines = [
    "*filter",
    `:${forwardChain} - [0:0]`,
    `:${hostChain} - [0:0]`,
    ...pass.map((match) => `-A ${forwardChain} ${match} -j RETURN`),
    ...blocked.map((range) => `-A ${forwardChain} -d ${range} ${reject}`),
    ...pass.map((match) => `-A ${hostChain} ${match} -j RETURN`),
    `-A ${hostChain} ${reject}`,
    "COMMIT",
    "",
  ];
  return {
    bridgePrefix,
    forwardChain,
    hostChain,
    restore: lines.join("\n"),
    jumps: [
      ["DOCKER-USER", ["-i", `${bridgePrefix}+`, "-j", forwardChain]],
      ["INPUT", ["-i", `${bridgePrefix}+`, "-j", hostChain]],
    ],
    dns,
  };
}

const allowMatch = ({ cidr, port }: AllowedAddress): string[] => [
  `-d ${checkCidr(cidr)} -p tcp${port === undefined ? "" : ` --dport ${port}`}`,
];
const dnsMatch = (address: string): string[] => [`-d ${address}/32 -p udp --dport 53`, `-d ${address}/32 -p tcp --dport 53`];

/**
 * Puts the rules in place; safe to repeat, also from several processes.
 *
 * Errors: SBX-1401.
 * SIDE EFFECTS: changes the packet filter of this host (tables of IPv4 only; our bridges carry no IPv6).
 */
export async function ensureRules(firewall: Firewall, rules: EgressRules, signal?: AbortSignal): Promise<void> {
  try {
    // Writing a chain again would set its counters back, which another worker's proof may be reading.
    for (const chain of [rules.forwardChain, rules.hostChain]) {
      if (await hasRules(firewall, chain, rules.restore, signal)) continue;
      await firewall.restore(rules.restore, signal);
      break;
    }
    for (const [chain, rule] of rules.jumps) {
      if (!(await hasJump(firewall, chain, rule, signal))) await firewall.iptables(["-I", chain, "1", ...rule], signal);
    }
  } catch (cause) {
    signal?.throwIfAborted();
    throw new CodedError("SBX-1401", { reason: shorten(cause instanceof Error ? cause.message : String(cause)) }, { cause });
  }
}

/** Whether the rules still hold: another program may have reloaded the packet filter. */
export async function rulesHold(firewall: Firewall, rules: EgressRules, signal?: AbortSignal): Promise<boolean> {
  for (const [chain, rule] of rules.jumps) if (!(await hasJump(firewall, chain, rule, signal))) return false;
  for (const chain of [rules.forwardChain, rules.hostChain]) if (!(await hasRules(firewall, chain, rules.restore, signal))) return false;
  return true;
}

/** Whether a chain has as many rules as it should; its name already says which. */
async function hasRules(firewall: Firewall, chain: string, restore: string, signal?: AbortSignal): Promise<boolean> {
  const count = (text: string): number => text.split("\n").filter((line) => line.startsWith(`-A ${chain} `)).length;
  try {
    return count(await firewall.iptables(["-S", chain], signal)) === count(restore);
  } catch {
    signal?.throwIfAborted();
    return false;
  }
}

async function hasJump(firewall: Firewall, chain: string, rule: readonly string[], signal?: AbortSignal): Promise<boolean> {
  try {
    await firewall.iptables(["-C", chain, ...rule], signal);
    return true;
  } catch {
    signal?.throwIfAborted();
    return false;
  }
}

/** Packets rejected so far by each of the two chains' REJECT rules. */
export async function rejectedPackets(firewall: Firewall, rules: EgressRules, signal?: AbortSignal): Promise<number> {
  let packets = 0;
  for (const chain of [rules.forwardChain, rules.hostChain]) {
    const listing = await firewall.iptables(["-nvxL", chain], signal);
    for (const line of listing.split("\n")) packets += Number(/^\s*(\d+)\s+\d+\s+REJECT\b/.exec(line)?.[1] ?? 0);
  }
  return packets;
}

/** The resolvers the engine gives to containers: those of this host, leaving out loopback ones, which the engine asks itself. */
export async function hostResolvers(
  read: (path: string) => Promise<string> = (path) => readFile(path, "utf8"),
): Promise<readonly string[]> {
  const resolvers = async (path: string): Promise<string[]> => {
    const text = await read(path).catch(() => "");
    return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] ?? "").filter((address) => isIP(address) !== 0);
  };
  const listed = await resolvers("/etc/resolv.conf");
  const all = listed.every((address) => address === "127.0.0.53") ? await resolvers("/run/systemd/resolve/resolv.conf") : listed;
  return all.filter((address) => !address.startsWith("127.") && address !== "::1");
}
