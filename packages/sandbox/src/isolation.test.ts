import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { promisify } from "node:util";
import { CodedError } from "@iexec-ts/service";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { LABELS } from "./api.ts";
import { egressRules, type Firewall, hostFirewall } from "./egress-guard.ts";
import type { EgressOptions } from "./options.ts";
import { networkName } from "./run-network.ts";
import { type DockerWorld, dockerWorld } from "./test/docker-world.ts";
import { docker, importTestImage, removeTestImage } from "./test/test-image.ts";

const IMAGE = `sandbox-isolation-${randomBytes(4).toString("hex")}:1`;
/** Resolvers of these tests' rules; a value of our own gives the rules names of their own. */
const DNS = ["192.0.2.53"];
const HOST = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
let world: DockerWorld;
let listener: Server;
let port: number;
const used: EgressOptions[] = [];

const egress = (options: EgressOptions = {}): { egress: EgressOptions } => {
  const own = { dns: DNS, ...options };
  used.push(own);
  return { egress: own };
};

beforeAll(async () => {
  await importTestImage(IMAGE);
  listener = createServer((socket) => socket.end("hello from the host\n"));
  port = await new Promise((resolve) =>
    listener.listen(0, "0.0.0.0", () => {
      const address = listener.address();
      resolve(typeof address === "object" && address !== null ? address.port : 0);
    }),
  );
});
afterAll(async () => {
  listener.close();
  await removeTestImage(IMAGE);
  for (const options of used) {
    const { jumps, forwardChain, hostChain } = egressRules(options, options.dns ?? []);
    const quiet = (...args: string[]) => promisify(execFile)("iptables", ["-w", "10", ...args]).catch(() => undefined);
    for (const [chain, rule] of jumps) await quiet("-D", chain, ...rule);
    for (const chain of [forwardChain, hostChain]) {
      await quiet("-F", chain);
      await quiet("-X", chain);
    }
  }
});
beforeEach(() => {
  world = dockerWorld();
});
afterEach(() => world.close());

const talkTo = (address: string, at: number) => `nc -w 3 ${address} ${at} </dev/null || echo no`;

test("the policy none leaves no route and no interface but loopback", async () => {
  const script = `cat /proc/net/route | wc -l; cut -d: -f1 /proc/net/dev; ${talkTo(HOST ?? "", port)}`;
  const { stdout } = await (await world.open().run(world.spec(IMAGE, script))).wait();
  expect(stdout.text).not.toContain("eth");
  expect(stdout.text.split("\n")[0]).toBe("1");
  expect(stdout.text).toMatch(/no\n$/);
});

test("an isolated app cannot reach the host, unless that address is allowed", async () => {
  const script = talkTo(HOST ?? "", port);
  const blocked = await (await world.open(egress()).run(world.spec(IMAGE, script, { network: "isolated" }))).wait();
  expect(blocked.stdout.text).toBe("no\n");

  const allowed = world.open(egress({ allow: [{ cidr: `${HOST}/32`, port }] }));
  const reached = await (await allowed.run(world.spec(IMAGE, script, { network: "isolated", name: `${world.id}-allowed` }))).wait();
  expect(reached.stdout.text).toBe("hello from the host\n");
});

test("the proof: nothing is reached and each attempt was rejected by our rules", async () => {
  const sandbox = world.open(egress());
  const extra = ["10.1.2.3", "192.168.7.7", "172.31.1.1", "100.64.0.1"].map((address) => ({ address, port: 80 }));
  const report = await sandbox.proveIsolation(IMAGE, { [LABELS.worker]: world.id }, extra);
  expect(report).toMatchObject({ proven: true, reached: [], ipv6: false });
  expect(report.blocked).toContainEqual({ address: "169.254.169.254", port: 80 });
  expect(report.blocked).toContainEqual(expect.objectContaining({ address: HOST }));
  expect(await sandbox.list({ [LABELS.worker]: world.id })).toEqual([]);
}, 120_000);

test("without rules there is no proof", async () => {
  const report = await world.open(egress({ guard: "off", block: ["203.0.113.0/24"] })).proveIsolation(IMAGE, { [LABELS.worker]: world.id });
  expect(report.proven).toBe(false);
  expect(report.reached).toContainEqual(expect.objectContaining({ address: HOST }));
}, 120_000);

test("rules that another program removed are put back before the next run", async () => {
  const sandbox = world.open(egress({ block: ["198.51.100.0/24"] }));
  const spec = (name: string) => world.spec(IMAGE, talkTo(HOST ?? "", port), { network: "isolated", name: `${world.id}-${name}` });
  await (await sandbox.run(spec("first"))).wait();
  const { jumps } = egressRules({ block: ["198.51.100.0/24"] }, DNS);
  for (const [chain, rule] of jumps) await hostFirewall.iptables(["-D", chain, ...rule]);
  expect((await (await sandbox.run(spec("second"))).wait()).stdout.text).toBe("no\n");
});

test("two isolated apps have networks of their own, which go with them", async () => {
  const sandbox = world.open(egress());
  const specs = ["one", "two"].map((name) => world.spec(IMAGE, "sleep 60", { network: "isolated", name: `${world.id}-${name}` }));
  const runs = await Promise.all(specs.map((spec) => sandbox.run(spec)));
  for (const spec of specs) {
    const network = await docker.getNetwork(networkName(spec.name)).inspect();
    expect(network).toMatchObject({ Labels: { [LABELS.worker]: world.id }, EnableIPv6: false });
    expect(Object.keys(network.Containers ?? {})).toHaveLength(1);
  }
  await runs[0]?.remove();
  const left = () => docker.listNetworks({ filters: { label: [`${LABELS.worker}=${world.id}`] } });
  expect((await left()).map(({ Name }) => Name)).toEqual([networkName(`${world.id}-two`)]);
  await sandbox.reap({ [LABELS.worker]: world.id }, new Set());
  expect(await left()).toEqual([]);
});

test("a firewall that cannot be written refuses the run, or is only reported, as set", async () => {
  const broken: Firewall = {
    iptables: () => Promise.reject(new Error("no such tool")),
    restore: () => Promise.reject(new Error("no such tool")),
  };
  const strict = world.open(egress({ guard: "required" }), { firewall: broken });
  const spec = world.spec(IMAGE, "echo ran", { network: "isolated" });
  const refused = await strict.run(spec).catch((thrown: unknown) => thrown);
  expect(refused instanceof CodedError ? refused.code : refused).toBe("SBX-1401");
  const lenient = world.open(egress(), { firewall: broken });
  expect(await lenient.guardEgress()).toBe(false);
  expect((await (await lenient.run(spec)).wait()).stdout.text).toBe("ran\n");
});
