import { Readable } from "node:stream";
import { describe, expect, test } from "vitest";
import { containerFirewall } from "./container-firewall.ts";
import type { Engine, EngineRequest } from "./engine.ts";

const OWN = "ab".repeat(32);

/** An engine that keeps one helper and answers its commands; `rules` says which kind of tables the host uses. */
function fakeEngine(rules: "nft" | "legacy" | "none") {
  const commands: string[][] = [];
  const removed: string[] = [];
  let helper: string | undefined;
  let count = 0;
  let config: unknown;
  const answer = (request: EngineRequest): unknown => {
    const { method, path, body } = request;
    if (path === `/containers/${OWN}/json`) return { Image: "sha256:own", Mounts: null };
    if (method === "DELETE") {
      removed.push(path.split("/").at(-1) ?? "");
      helper = undefined;
      return undefined;
    }
    if (path === "/containers/create") {
      count += 1;
      helper = `helper-${count}`;
      config = body;
      return { Id: helper };
    }
    if (path.endsWith("/exec")) {
      if (path !== `/containers/${helper}/exec`) return "gone";
      const words = body !== undefined && "Cmd" in body && Array.isArray(body.Cmd) ? body.Cmd.map(String) : [];
      commands.push(words);
      return { Id: `exec-${commands.length}` };
    }
    const last = commands.at(-1)?.join(" ") ?? "";
    if (path.endsWith("/json")) return { ExitCode: last.includes(`iptables-${rules}`) ? 0 : 1 };
    return undefined;
  };
  const engine: Engine = {
    json: async (request, schema, { on }) => {
      const found = answer(request);
      const gone = on?.[404];
      return found === "gone" && gone !== undefined ? gone("gone") : schema.parse(found);
    },
    send: async (request) => {
      answer(request);
      return undefined;
    },
    stream: async (_request, _options, read) => read(Readable.from([Buffer.from("said\r\n")])),
  };
  return {
    engine,
    commands,
    removed,
    config: () => config,
    lose: () => {
      helper = undefined;
    },
    helpers: () => count,
  };
}

describe("the host's firewall from inside a container", () => {
  test.each(["nft", "legacy"] as const)("finds the tables the engine uses: %s", async (kind) => {
    const fake = fakeEngine(kind);
    const firewall = containerFirewall(fake.engine, OWN);
    expect(await firewall.iptables(["-S", "X"])).toBe("said\n");
    await firewall.restore("*filter\nCOMMIT\n");
    expect(fake.commands.at(-2)).toEqual([`iptables-${kind}`, "-w", "10", "-S", "X"]);
    expect(fake.commands.at(-1)?.slice(-1)).toEqual(["*filter\nCOMMIT\n"]);
    expect(fake.helpers()).toBe(1);
  });

  test("gives its helper the packet filter of the host and nothing else", async () => {
    const fake = fakeEngine("nft");
    await containerFirewall(fake.engine, OWN).iptables(["-S"]);
    expect(fake.config()).toMatchObject({
      Image: "sha256:own",
      HostConfig: { NetworkMode: "host", CapDrop: ["ALL"], CapAdd: ["NET_ADMIN", "NET_RAW"], ReadonlyRootfs: true, AutoRemove: true },
    });
    expect(JSON.stringify(fake.config())).not.toContain("Binds");
  });

  test("replaces a helper whose time is over", async () => {
    const fake = fakeEngine("nft");
    const firewall = containerFirewall(fake.engine, OWN);
    await firewall.iptables(["-S", "one"]);
    fake.lose();
    await firewall.iptables(["-S", "two"]);
    expect(fake.helpers()).toBe(2);
  });

  test("fails where the engine keeps no rules", async () => {
    await expect(containerFirewall(fakeEngine("none").engine, OWN).iptables(["-S"])).rejects.toThrow("DOCKER-USER");
  });

  test("takes its helper away, once", async () => {
    const fake = fakeEngine("nft");
    const firewall = containerFirewall(fake.engine, OWN);
    await firewall.close();
    expect(fake.removed).toEqual([]);
    await firewall.iptables(["-S"]);
    await firewall.close();
    await firewall.close();
    expect(fake.removed).toEqual([`iexec-firewall-${OWN.slice(0, 12)}`, `iexec-firewall-${OWN.slice(0, 12)}`]);
  });
});
