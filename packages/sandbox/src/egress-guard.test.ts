import { expect, test } from "vitest";
import { egressRules, ensureRules, type Firewall, hostResolvers, rejectedPackets, rulesHold } from "./egress-guard.ts";

const DNS = ["10.0.0.2"];

test("allowed addresses and resolvers come before what is blocked, and the host is closed", () => {
  const { restore, forwardChain, hostChain } = egressRules({ allow: [{ cidr: "10.1.2.3/32", port: 443 }], block: ["203.0.113.0/24"] }, DNS);
  const of = (chain: string) => restore.split("\n").filter((line) => line.startsWith(`-A ${chain} `));
  const forward = of(forwardChain);
  expect(forward.slice(0, 3)).toEqual([
    `-A ${forwardChain} -d 10.1.2.3/32 -p tcp --dport 443 -j RETURN`,
    `-A ${forwardChain} -d 10.0.0.2/32 -p udp --dport 53 -j RETURN`,
    `-A ${forwardChain} -d 10.0.0.2/32 -p tcp --dport 53 -j RETURN`,
  ]);
  for (const range of [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "224.0.0.0/4",
    "203.0.113.0/24",
  ]) {
    expect(forward).toContain(`-A ${forwardChain} -d ${range} -j REJECT --reject-with icmp-admin-prohibited`);
  }
  expect(of(hostChain).at(-1)).toBe(`-A ${hostChain} -j REJECT --reject-with icmp-admin-prohibited`);
});

test("other settings have chains and bridges of their own; names fit the kernel", () => {
  const one = egressRules({}, DNS);
  const two = egressRules({ allow: [{ cidr: "10.0.0.9" }] }, DNS);
  expect(one.bridgePrefix).not.toBe(two.bridgePrefix);
  expect(one.bridgePrefix).toHaveLength(6);
  expect(one.hostChain.length).toBeLessThan(29);
});

test.each(["", "10.0.0.0/33", "999.1.1.1", "10.0.0.1 -j ACCEPT", "10.0.0.1\n-A INPUT", "::1"])("%j is no range", (cidr) => {
  expect(() => egressRules({ allow: [{ cidr }] }, [])).toThrow(expect.objectContaining({ code: "SBX-1401" }));
  expect(() => egressRules({ block: [cidr] }, [])).toThrow(expect.objectContaining({ code: "SBX-1401" }));
});

test("jumps are added once, and found again", async () => {
  const present = new Set<string>();
  const restored: string[] = [];
  const firewall: Firewall = {
    iptables: async ([command, chain, ...rest]) => {
      if (command === "-C" && !present.has(`${chain} ${rest.join(" ")}`)) throw new Error("no such rule");
      if (command === "-S") return restored.at(-1) ?? "";
      if (command === "-I") present.add(`${chain} ${rest.slice(1).join(" ")}`);
      return "";
    },
    restore: async (rules) => void restored.push(rules),
  };
  const rules = egressRules({}, DNS);
  expect(await rulesHold(firewall, rules)).toBe(false);
  await ensureRules(firewall, rules);
  await ensureRules(firewall, rules);
  expect(await rulesHold(firewall, rules)).toBe(true);
  expect([...present].map((jump) => jump.split(" ")[0])).toEqual(["DOCKER-USER", "INPUT"]);
  // Written again, the counters that a proof reads would start anew.
  expect(restored).toEqual([rules.restore]);
});

test("a chain that somebody emptied does not hold, and is written again", async () => {
  const rules = egressRules({}, DNS);
  let content = "";
  const firewall: Firewall = {
    iptables: async ([command]) => (command === "-S" ? content : ""),
    restore: async (text) => {
      content = text;
    },
  };
  expect(await rulesHold(firewall, rules)).toBe(false);
  await ensureRules(firewall, rules);
  expect(await rulesHold(firewall, rules)).toBe(true);
});

test("rejected packets are summed over both chains", async () => {
  const listing = `Chain X (1 references)
    pkts      bytes target     prot opt in     out     source               destination
       3      180 RETURN     17   --  *      *       0.0.0.0/0            10.0.0.2             udp dpt:53
       2      120 REJECT     0    --  *      *       0.0.0.0/0            10.0.0.0/8           reject-with icmp-admin-prohibited
      40     2400 REJECT     0    --  *      *       0.0.0.0/0            0.0.0.0/0            reject-with icmp-admin-prohibited`;
  const firewall: Firewall = { iptables: async () => listing, restore: async () => undefined };
  expect(await rejectedPackets(firewall, egressRules({}, DNS))).toBe(84);
});

test("resolvers: those of the host; behind a local stub, the stub's own", async () => {
  const files = (map: Record<string, string>) => (path: string) =>
    path in map ? Promise.resolve(map[path] ?? "") : Promise.reject(new Error("none"));
  expect(
    await hostResolvers(files({ "/etc/resolv.conf": "# x\nnameserver 10.0.0.2\nnameserver 127.0.0.1\nnameserver nonsense\n" })),
  ).toEqual(["10.0.0.2"]);
  expect(
    await hostResolvers(
      files({ "/etc/resolv.conf": "nameserver 127.0.0.53\n", "/run/systemd/resolve/resolv.conf": "nameserver 192.168.1.1\n" }),
    ),
  ).toEqual(["192.168.1.1"]);
  expect(await hostResolvers(files({}))).toEqual([]);
});
