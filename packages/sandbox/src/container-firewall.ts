import { openScope, orAborted } from "@iexec-ts/service";
import { z } from "zod";
import { removeContainer, startContainer } from "./containers.ts";
import type { Firewall } from "./egress-guard.ts";
import type { Engine } from "./engine.ts";
import { createdSchema } from "./engine-schemas.ts";
import { describeContainer } from "./own-container.ts";

/** A helper that nobody removes ends by itself. */
const LIFE_SECONDS = 900;
/** An engine that hangs does not hold the stop; the helper then ends by itself. */
const CLOSE_MS = 5_000;
const MAX_OUTPUT_BYTES = 1024 * 1024;
const MIB = 1024 * 1024;
const LABEL = "iexec.firewall";
/** The host's rules are in the tables of one of the two; the engine's own chain tells which. */
const FLAVOURS = ["iptables-nft", "iptables-legacy"] as const;
type Flavour = (typeof FLAVOURS)[number];

const execSchema = z.object({ ExitCode: z.number().nullish() });

/**
 * The host's packet filter for a worker that runs in a container, whose own network is not the host's: a second, small container of the
 * worker's image in the network of the host, with the right to change the filter and no other, runs the commands. Who may use the engine's
 * socket may do that anyway, so no power is added.
 *
 * @source compute.md 6.5, 7.2
 */
export interface ContainerFirewall extends Firewall {
  /** Idempotent. SIDE EFFECTS: removes the helper. */
  close(): Promise<void>;
}

/** Nothing is started before the first command. @param own - id of the worker's container */
export function containerFirewall(engine: Engine, own: string): ContainerFirewall {
  const name = `iexec-firewall-${own.slice(0, 12)}`;
  let helper: Promise<string> | undefined;
  let created = false;
  let flavour: Promise<Flavour> | undefined;

  /** Shared by all callers, so none of them can end it by giving up; each of its calls is bounded. */
  async function create(): Promise<string> {
    const self = await describeContainer(engine, own);
    if (self === undefined) throw new Error("the engine at the socket does not run this container");
    // One that a killed worker left may end at any moment.
    await removeContainer(engine, name);
    created = true;
    const refused = (reason: string): never => {
      throw new Error(reason);
    };
    const { Id } = await engine.json(
      { method: "POST", path: "/containers/create", query: { name }, body: helperConfig(self.imageId, own) },
      createdSchema,
      { what: "create the firewall's helper", on: { 400: refused, 404: refused, 409: refused, 500: refused } },
    );
    await startContainer(engine, Id, name);
    return Id;
  }

  /** Runs one command in the helper; a helper whose time is over is replaced. */
  async function run(command: readonly string[], signal?: AbortSignal): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      helper ??= create();
      const mine = helper;
      try {
        const output = await execute(engine, await unlessAborted(mine, signal), command, signal);
        if (output !== undefined) return output;
        if (attempt > 0) throw new Error("the firewall's helper ends at once");
      } catch (thrown) {
        if (helper === mine && !(thrown instanceof CommandFailed) && signal?.aborted !== true) helper = undefined;
        throw thrown;
      }
      if (helper === mine) helper = undefined;
    }
  }

  async function find(): Promise<Flavour> {
    for (const each of FLAVOURS) {
      const has = await run([each, "-w", "10", "-S", "DOCKER-USER"]).then(
        () => true,
        (thrown: unknown) => {
          if (thrown instanceof CommandFailed) return false;
          throw thrown;
        },
      );
      if (has) return each;
    }
    throw new Error("the engine keeps no DOCKER-USER chain in this host's packet filter");
  }

  async function known(signal?: AbortSignal): Promise<Flavour> {
    flavour ??= find();
    const mine = flavour;
    try {
      return await unlessAborted(mine, signal);
    } catch (thrown) {
      if (flavour === mine && signal?.aborted !== true) flavour = undefined;
      throw thrown;
    }
  }

  return {
    iptables: async (args, signal) => run([await known(signal), "-w", "10", ...args], signal),
    restore: async (rules, signal) => {
      const script = `printf '%s' "$1" | ${await known(signal)}-restore -w 10 --noflush`;
      await run(["/bin/sh", "-c", script, "sh", rules], signal);
    },
    close: async () => {
      using closing = openScope([], { ms: CLOSE_MS });
      if (helper !== undefined) await unlessAborted(helper, closing.signal).catch(() => undefined);
      // By its name: a call that was given up may have made it all the same.
      if (created) await removeContainer(engine, name, closing.signal);
      helper = undefined;
      created = false;
    },
  };
}

const helperConfig = (image: string, own: string) => ({
  Image: image,
  Entrypoint: ["/bin/sleep"],
  Cmd: [String(LIFE_SECONDS)],
  User: "0:0",
  Healthcheck: { Test: ["NONE"] },
  Labels: { [LABEL]: own },
  HostConfig: {
    AutoRemove: true,
    NetworkMode: "host",
    CapDrop: ["ALL"],
    // Raw sockets are what the older of the two kinds of tables is written through.
    CapAdd: ["NET_ADMIN", "NET_RAW"],
    SecurityOpt: ["no-new-privileges"],
    ReadonlyRootfs: true,
    Tmpfs: { "/run": "rw,noexec,nosuid,size=1m" },
    Memory: 64 * MIB,
    PidsLimit: 32,
    LogConfig: { Type: "none" },
  },
});

const unlessAborted = <T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> =>
  signal === undefined ? promise : orAborted(promise, signal);

/** The command ran and said no. */
class CommandFailed extends Error {}

/** Output of a command, or undefined when its container is gone. Throws what the command printed when it fails. */
async function execute(engine: Engine, id: string, command: readonly string[], signal?: AbortSignal): Promise<string | undefined> {
  const what = "run a command of the firewall";
  const gone = () => undefined;
  const created = await engine.json(
    {
      method: "POST",
      path: `/containers/${id}/exec`,
      // A terminal joins both streams into one without frames.
      body: { Cmd: command, AttachStdout: true, AttachStderr: true, Tty: true },
    },
    createdSchema,
    { what, signal, on: { 404: gone, 409: gone } },
  );
  if (created === undefined) return undefined;
  const answered = await engine.stream(
    { method: "POST", path: `/exec/${created.Id}/start`, body: { Detach: false, Tty: true } },
    { what, signal, on: { 404: gone, 409: gone } },
    readOutput,
  );
  if (answered === undefined) return undefined;
  const output = answered.replaceAll("\r\n", "\n");
  const { ExitCode } = await engine.json({ method: "GET", path: `/exec/${created.Id}/json` }, execSchema, { what, signal });
  if (ExitCode !== 0) throw new CommandFailed(output.trim() || `exit code ${ExitCode}`);
  return output;
}

async function readOutput(answer: AsyncIterable<Uint8Array>): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of answer) {
    const bytes = Buffer.from(part);
    size += bytes.length;
    if (size > MAX_OUTPUT_BYTES) throw new Error("the firewall says too much");
    parts.push(bytes);
  }
  return Buffer.concat(parts).toString("utf8");
}
