import { createHash } from "node:crypto";
import { CodedError } from "@iexec-ts/service";
import type { Engine } from "./engine.ts";
import { createdSchema, networkListSchema, networkSchema } from "./engine-schemas.ts";

/** Label of a run's own network: the container it belongs to. */
export const RUN_LABEL = "iexec.run";

export const networkName = (containerName: string): string => `${containerName}-net`;

/** Linux allows 15 characters; the prefix is what the firewall rules match. */
const bridgeName = (prefix: string, containerName: string): string =>
  prefix +
  createHash("sha256")
    .update(containerName)
    .digest("hex")
    .slice(0, 15 - prefix.length);

/**
 * The network of one run: a bridge of its own, so that no other container can be reached through it.
 *
 * Errors: SBX-1001, SBX-1402; SBX-1201 when the name belongs to somebody else.
 * SIDE EFFECTS: creates a network in the engine unless it is already there.
 */
export async function ensureNetwork(
  engine: Engine,
  run: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
  bridgePrefix: string,
  signal?: AbortSignal,
): Promise<string> {
  const name = networkName(run.name);
  if ((await findNetwork(engine, name, run.name, signal)) !== undefined) return name;
  const refused = (reason: string): never => {
    throw new CodedError("SBX-1402", { name: run.name, reason });
  };
  await engine.json(
    {
      method: "POST",
      path: "/networks/create",
      body: {
        Name: name,
        CheckDuplicate: true,
        Driver: "bridge",
        EnableIPv6: false,
        Options: {
          "com.docker.network.bridge.name": bridgeName(bridgePrefix, run.name),
          "com.docker.network.bridge.enable_icc": "false",
        },
        Labels: { ...run.labels, [RUN_LABEL]: run.name },
      },
    },
    createdSchema,
    { what: "create a network", signal, on: { 400: refused, 403: refused, 404: refused, 409: () => undefined, 500: refused } },
  );
  return name;
}

async function findNetwork(engine: Engine, name: string, run: string, signal?: AbortSignal) {
  const found = await engine.json({ method: "GET", path: `/networks/${encodeURIComponent(name)}` }, networkSchema, {
    what: "look at a network",
    signal,
    on: { 404: () => undefined },
  });
  // The engine also answers to the beginning of an id.
  if (found === undefined || found.Name !== name) return undefined;
  if (found.Labels?.[RUN_LABEL] !== run) throw new CodedError("SBX-1201", { name });
  return found;
}

/** Idempotent. SIDE EFFECTS: removes the run's network. */
export async function removeNetwork(engine: Engine, nameOrId: string, signal?: AbortSignal): Promise<void> {
  await engine.send(
    { method: "DELETE", path: `/networks/${encodeURIComponent(nameOrId)}` },
    { what: "remove a network", signal, on: { 404: () => undefined } },
  );
}

/** Our networks that carry these labels. */
export async function listNetworks(engine: Engine, labels: Readonly<Record<string, string>>, signal?: AbortSignal) {
  const filters = JSON.stringify({ label: [RUN_LABEL, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)] });
  const found = await engine.json({ method: "GET", path: "/networks", query: { filters } }, networkListSchema, {
    what: "list networks",
    signal,
  });
  return found.map((network) => ({ id: network.Id, name: network.Name, run: network.Labels?.[RUN_LABEL] ?? "" }));
}
