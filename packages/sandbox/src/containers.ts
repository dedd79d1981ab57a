import { CodedError } from "@iexec-ts/service";
import { LABELS, type RunSpec } from "./api.ts";
import type { containerConfig } from "./container-config.ts";
import type { Engine } from "./engine.ts";
import { type ContainerDetails, containerListSchema, containerSchema, createdSchema } from "./engine-schemas.ts";
import { startError } from "./start-errors.ts";

/** Starting can be slow on a busy host: image layers are mounted, a network is built. */
const START_TIMEOUT_MS = 180_000;

/** The container of exactly this name or id. */
export async function inspectContainer(
  engine: Engine,
  nameOrId: string,
  signal?: AbortSignal,
  { size = false } = {},
): Promise<ContainerDetails | undefined> {
  const found = await engine.json(
    { method: "GET", path: `/containers/${encodeURIComponent(nameOrId)}/json`, query: size ? { size } : {} },
    containerSchema,
    { what: "look at a container", signal, on: { 404: () => undefined } },
  );
  // The engine also answers to the beginning of an id, which a name may happen to be.
  return found !== undefined && (found.Id === nameOrId || found.Name === `/${nameOrId}`) ? found : undefined;
}

/** Whether a container is the one this run left behind: every label of the run is on it. */
export function isOurs(found: ContainerDetails, spec: Pick<RunSpec, "labels">): boolean {
  const labels = found.Config.Labels ?? {};
  return LABELS.deadline in labels && Object.entries(spec.labels).every(([key, value]) => labels[key] === value);
}

/** The deadline the container was created with. A label that cannot be read, which only tampering can cause, falls back. */
export function deadlineOf(found: ContainerDetails, fallback: Date): Date {
  const deadline = new Date(found.Config.Labels?.[LABELS.deadline] ?? Number.NaN);
  return Number.isNaN(deadline.getTime()) ? fallback : deadline;
}

/**
 * Undefined when the name was taken meanwhile.
 *
 * Errors: SBX-1001, SBX-1202, SBX-1203 (the image names no command), SBX-1204, SBX-1206.
 * SIDE EFFECTS: creates a container.
 */
export async function createContainer(
  engine: Engine,
  spec: RunSpec,
  config: ReturnType<typeof containerConfig>,
  signal?: AbortSignal,
): Promise<string | undefined> {
  const refused = (reason: string): never => {
    const missing = /bind source path does not exist: (.*)$/.exec(reason)?.[1];
    if (missing !== undefined) throw new CodedError("SBX-1206", { path: missing });
    if (/no command specified/i.test(reason)) throw new CodedError("SBX-1203", { name: spec.name, reason });
    throw new CodedError("SBX-1202", { name: spec.name, reason });
  };
  const gone = (): never => {
    throw new CodedError("SBX-1204", { image: spec.image });
  };
  const created = await engine.json(
    { method: "POST", path: "/containers/create", query: { name: spec.name }, body: config },
    createdSchema,
    { what: "create a container", signal, on: { 400: refused, 404: gone, 409: () => undefined, 500: refused } },
  );
  return created?.Id;
}

/** Idempotent. Errors: SBX-1001, SBX-1203 the image's fault, SBX-1207 the host's. SIDE EFFECTS: starts the container. */
export async function startContainer(engine: Engine, id: string, name: string, signal?: AbortSignal): Promise<void> {
  const refused = (reason: string): never => {
    throw startError(name, reason);
  };
  await engine.send(
    { method: "POST", path: `/containers/${id}/start` },
    {
      what: "start the container",
      signal,
      timeoutMs: START_TIMEOUT_MS,
      on: { 400: refused, 403: refused, 404: refused, 409: refused, 500: refused },
    },
  );
}

export async function unpauseContainer(engine: Engine, id: string, signal?: AbortSignal): Promise<void> {
  await engine.send(
    { method: "POST", path: `/containers/${id}/unpause` },
    { what: "unpause the container", signal, on: { 404: () => undefined, 409: () => undefined, 500: () => undefined } },
  );
}

/** SIGKILL. True if the container was running; false if it had ended before. SIDE EFFECTS: kills the container. */
export async function killContainer(engine: Engine, id: string, signal?: AbortSignal): Promise<boolean> {
  const ended = () => false;
  const answer = await engine.send(
    { method: "POST", path: `/containers/${id}/kill`, query: { signal: "SIGKILL" } },
    { what: "kill the container", signal, on: { 404: ended, 409: ended } },
  );
  return answer ?? true;
}

/** Idempotent. SIDE EFFECTS: kills and removes the container and its anonymous volumes. */
export async function removeContainer(engine: Engine, id: string, signal?: AbortSignal): Promise<void> {
  await engine.send(
    { method: "DELETE", path: `/containers/${encodeURIComponent(id)}`, query: { force: true, v: true } },
    // 409: another call is removing it already.
    { what: "remove the container", signal, on: { 404: () => undefined, 409: () => undefined } },
  );
}

/**
 * Resolves when the container is not running. Called after start, so an exit in between is not missed: the engine then answers at once.
 *
 * Errors: SBX-1001 when the connection breaks.
 */
export async function awaitExit(engine: Engine, id: string, signal: AbortSignal): Promise<void> {
  await engine.stream(
    { method: "POST", path: `/containers/${id}/wait`, query: { condition: "not-running" } },
    // It is silent as long as the app runs: who waits looks at the container now and then.
    { what: "wait for the container", signal, idleMs: 0, on: { 404: () => undefined } },
    async (answer) => {
      for await (const _ of answer);
    },
  );
}

/** Our containers that carry these labels, running or not. */
export async function listContainers(engine: Engine, labels: Readonly<Record<string, string>>, signal?: AbortSignal) {
  const filters = JSON.stringify({ label: [LABELS.deadline, ...Object.entries(labels).map(([key, value]) => `${key}=${value}`)] });
  const found = await engine.json({ method: "GET", path: "/containers/json", query: { all: true, filters } }, containerListSchema, {
    what: "list containers",
    signal,
  });
  return found.map((container) => ({
    id: container.Id,
    name: (container.Names[0] ?? "").replace(/^\//, ""),
    labels: container.Labels ?? {},
    state: container.State,
    imageId: container.ImageID,
  }));
}
