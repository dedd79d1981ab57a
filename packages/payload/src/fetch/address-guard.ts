import { lookup as dnsLookup, type LookupAddress } from "node:dns";
import { isIP } from "node:net";
import { CodedError, openScope, orAborted } from "@iexec-ts/service";
import ipaddr from "ipaddr.js";
import { Agent, buildConnector, errors } from "undici";

/** Name resolution as a port; the default is the system's. */
export type Resolve = (hostname: string) => Promise<readonly LookupAddress[]>;

export const systemResolve: Resolve = (hostname) =>
  new Promise((resolve, reject) => {
    dnsLookup(hostname, { all: true, verbatim: true }, (error, addresses) => (error === null ? resolve(addresses) : reject(error)));
  });

const GLOBAL_V6 = ipaddr.parseCIDR("2000::/3");

/**
 * Whether an IP address is part of the public internet. Loopback, private, link-local, unique-local, carrier NAT, multicast, reserved,
 * and every way to write an IPv4 address inside an IPv6 one are not.
 * @source reference/compute.md 3.2, 6.7 H24
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  if (parsed.range() !== "unicast") return false;
  return parsed.kind() === "ipv4" || parsed.match(GLOBAL_V6);
}

function isInList(address: string, allowed: readonly string[]): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return allowed.some((entry) => {
    if (ipaddr.isValid(entry)) return ipaddr.process(entry).toString() === parsed.toString();
    if (!ipaddr.isValidCIDR(entry)) return false;
    const [network, bits] = ipaddr.parseCIDR(entry);
    return network.kind() === parsed.kind() && parsed.match(network, bits);
  });
}

const bare = (hostname: string): string =>
  hostname
    .replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "")
    .toLowerCase();

/** Decides which addresses a download may connect to. Errors: PAY-1102. */
export async function allowedAddresses(
  hostname: string,
  allowPrivate: readonly string[],
  resolve: Resolve,
): Promise<readonly LookupAddress[]> {
  const host = bare(hostname);
  const family = isIP(host);
  const addresses = family === 0 ? await resolve(host) : [{ address: host, family }];
  if (allowPrivate.some((entry) => entry.toLowerCase() === host)) return addresses;
  const allowed = addresses.filter(({ address }) => isPublicAddress(address) || isInList(address, allowPrivate));
  if (allowed.length === 0) throw new CodedError("PAY-1102", { host, reason: "the address is not a public one" });
  return allowed;
}

/**
 * An HTTP agent that resolves a name once, checks the addresses, and connects to one of those it checked; so neither a redirect nor a
 * second answer of the name server can lead inside. The guard runs for every connection, IP literals included.
 */
export function guardedAgent(options: {
  readonly allowPrivate: readonly string[];
  readonly connectMs: number;
  readonly resolve: Resolve;
}): Agent {
  return new Agent({
    connect: (target, callback) => {
      // A name server that never answers must not use up the time of all tries.
      const resolve: Resolve = async (hostname) => {
        const late = (): Error => new errors.ConnectTimeoutError("the name server did not answer in time");
        using looking = openScope([], { ms: options.connectMs, reason: late });
        return await orAborted(options.resolve(hostname), looking.signal);
      };
      allowedAddresses(target.hostname, options.allowPrivate, resolve).then(
        (addresses) => {
          const connect = buildConnector({
            timeout: options.connectMs,
            autoSelectFamily: true,
            lookup: (_hostname, asked, done) => {
              const [first] = addresses;
              if (asked.all === true) done(null, [...addresses]);
              else if (first === undefined) done(new Error("no address"), "");
              else done(null, first.address, first.family);
            },
          });
          connect(target, callback);
        },
        (thrown: unknown) => callback(thrown instanceof Error ? thrown : new Error(String(thrown)), null),
      );
    },
    pipelining: 0,
    keepAliveTimeout: 1,
  });
}
