import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { type Clock, CodedError, hasCode, openScope } from "@iexec-ts/service";
import type { PulledImage, PullOptions, RegistryCredentials } from "./api.ts";
import type { Engine } from "./engine.ts";
import { type ImageDetails, imageSchema, progressSchema } from "./engine-schemas.ts";
import type { SandboxLogger } from "./options.ts";
import { pullError } from "./pull-errors.ts";
import { canonicalRegistry, type ImageReference, parseReference, referencePath } from "./reference.ts";

export interface PullPorts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly logger: SandboxLogger;
  readonly credentials: readonly RegistryCredentials[];
  /** Longest silence of the engine within a pull, in milliseconds. @default 180_000 */
  readonly silenceMs?: number | undefined;
  /** `linux/amd64` or the like. */
  readonly platform: (signal?: AbortSignal) => Promise<string>;
}

/** The engine tells of each layer as it comes and as it is unpacked; one that is silent for this long has lost the registry. */
const SILENCE_MS = 180_000;

const describe = (image: ImageDetails, stale: boolean): PulledImage => ({
  id: image.Id,
  digests: image.RepoDigests,
  bytes: image.Size,
  stale,
});

export function inspectImage(engine: Engine, image: string, signal?: AbortSignal): Promise<ImageDetails | undefined> {
  const path = `/images/${referencePath(parseReference(image))}/json`;
  return engine.json({ method: "GET", path }, imageSchema, { what: "look at an image", signal, on: { 404: () => undefined } });
}

/** The image of this reference if the engine has it. Errors: SBX-1001, SBX-1108. */
export async function findImage(engine: Engine, image: string, signal?: AbortSignal): Promise<PulledImage | undefined> {
  const found = await inspectImage(engine, image, signal);
  return found === undefined ? undefined : describe(found, false);
}

/** Errors: SBX-1106. */
export function checkPlatform(image: string, found: ImageDetails, wanted: string): void {
  const made = `${found.Os || "linux"}/${found.Architecture}`;
  // Images made by `docker import` on old engines carry no architecture.
  if (found.Architecture !== "" && made !== wanted) throw new CodedError("SBX-1106", { image, wanted, reason: `it is made for ${made}` });
}

/**
 * Pulls an image. When that fails and an image of this reference is already here, that one is returned as `stale`.
 *
 * Refused credentials are dropped for a second, anonymous attempt: a public image must not fail for a wrong password.
 *
 * Errors: SBX-1001, SBX-1101 to SBX-1109; SBX-1106 also for an image that was pulled but cannot run here.
 * SIDE EFFECTS: stores the image in the engine.
 * @source compute.md 1.8
 */
export async function pullImage(ports: PullPorts, image: string, options: PullOptions, signal?: AbortSignal): Promise<PulledImage> {
  const reference = parseReference(image);
  const wanted = await ports.platform(signal);
  const failure = await attempt(ports, image, reference, wanted, options, signal);
  const found = await inspectImage(ports.engine, image, signal);
  if (found === undefined) throw failure ?? new CodedError("SBX-1107", { image, reason: "the engine does not have it after the pull" });
  checkPlatform(image, found, wanted);
  if (failure !== undefined) ports.logger.warn("image pull failed, the image already here is used", { image, code: failure.code });
  return describe(found, failure !== undefined);
}

/** Undefined when it went well; throws only when there is no point in looking for a local image. */
async function attempt(
  ports: PullPorts,
  image: string,
  reference: ImageReference,
  wanted: string,
  options: PullOptions,
  signal?: AbortSignal,
): Promise<CodedError | undefined> {
  const { timeoutMs } = options;
  const credentials = ports.credentials.find((known) => canonicalRegistry(known.registry) === reference.registry);
  const late = new CodedError("SBX-1104", { image, timeoutMs });
  using pulling = openScope([signal], { ms: timeoutMs, clock: ports.clock, reason: () => late });
  const once = (known: RegistryCredentials | undefined) => pullOnce(ports, image, reference, wanted, options, known, pulling.signal);
  try {
    try {
      await once(credentials);
    } catch (thrown) {
      if (credentials === undefined || !hasCode(thrown, "SBX-1102")) throw thrown;
      ports.logger.warn("registry refused the credentials, trying without", { registry: reference.registry });
      await once(undefined);
    }
    return undefined;
  } catch (thrown) {
    signal?.throwIfAborted();
    if (pulling.signal.reason === late) return late;
    if (thrown instanceof CodedError && thrown.code.startsWith("SBX-11")) return thrown;
    throw thrown;
  }
}

async function pullOnce(
  { engine, silenceMs = SILENCE_MS }: PullPorts,
  image: string,
  reference: ImageReference,
  wanted: string,
  { timeoutMs, onAlive = () => undefined }: PullOptions,
  credentials: RegistryCredentials | undefined,
  signal: AbortSignal,
): Promise<void> {
  const refused = (reason: string): never => {
    throw pullError(image, reference, wanted, reason);
  };
  await engine.stream(
    {
      method: "POST",
      path: "/images/create",
      query: { fromImage: reference.repository, tag: reference.version },
      ...(credentials === undefined ? {} : { auth: loginOf(credentials) }),
    },
    // The engine answers only when the registry has: the pull's own deadline bounds it.
    {
      what: "pull an image",
      signal,
      timeoutMs: timeoutMs + 1_000,
      idleMs: silenceMs,
      on: { 400: refused, 401: refused, 403: refused, 404: refused, 500: refused },
    },
    async (progress) => {
      onAlive();
      await followProgress(progress, { refused, onAlive }, signal);
    },
  );
}

const loginOf = ({ registry, username, password }: RegistryCredentials) => ({
  username,
  password,
  serveraddress: canonicalRegistry(registry) === "docker.io" ? "https://index.docker.io/v1/" : canonicalRegistry(registry),
});

/** A pull that fails midway ends with status 200 and an `error` item. */
async function followProgress(
  progress: Readable,
  { refused, onAlive }: { readonly refused: (reason: string) => never; readonly onAlive: () => void },
  signal: AbortSignal,
): Promise<void> {
  const lines = createInterface({ input: progress, crlfDelay: Number.POSITIVE_INFINITY });
  let broken: unknown;
  progress.once("error", (error) => {
    broken = error;
    lines.close();
  });
  for await (const line of lines) {
    onAlive();
    const item = readItem(line);
    const problem = item?.errorDetail?.message ?? item?.error;
    if (problem !== undefined) {
      progress.destroy();
      refused(problem);
    }
  }
  signal.throwIfAborted();
  if (broken !== undefined) throw broken;
  if (!progress.readableEnded) {
    throw new CodedError("SBX-1001", { what: "pull an image", reason: "the connection broke during the pull" });
  }
}

function readItem(line: string): { error?: string | undefined; errorDetail?: { message?: string | undefined } | undefined } | undefined {
  if (line.trim() === "") return undefined;
  try {
    return progressSchema.safeParse(JSON.parse(line)).data;
  } catch {
    // A line we cannot read is no progress; whether the pull worked is decided by looking for the image afterwards.
    return undefined;
  }
}
