import { CodedError, createWatchdog, hasCode, orAborted } from "@iexec-ts/service";
import type { CapturedLog, EngineReport, PulledImage, PullOptions, Running, RunResult, RunSpec } from "./api.ts";
import { checkSpec, containerConfig, logFileBytes, worstLogFileBytes } from "./container-config.ts";
import { containerFirewall } from "./container-firewall.ts";
import {
  createContainer,
  deadlineOf,
  inspectContainer,
  isOurs,
  killContainer,
  listContainers,
  removeContainer,
  startContainer,
} from "./containers.ts";
import type { DockerSandbox } from "./docker-sandbox-api.ts";
import { type EgressRules, egressRules, ensureRules, hostFirewall, hostResolvers, rulesHold } from "./egress-guard.ts";
import { createEngine, type Engine } from "./engine.ts";
import { type EngineFacts, readEngine } from "./engine-report.ts";
import type { ContainerDetails } from "./engine-schemas.ts";
import { follow } from "./follow.ts";
import { type ImageUses, memoryImageUses } from "./image-uses.ts";
import { readLogs } from "./logs.ts";
import { measureRun } from "./measure-run.ts";
import type { DockerSandboxDeps, DockerSandboxOptions, SandboxLogger } from "./options.ts";
import { type Measure, untilExceeded } from "./output-watch.ts";
import { type ContainerMount, describeContainer } from "./own-container.ts";
import { probeImage } from "./probe-image.ts";
import { type IsolationProof, type ProofRequest, proofKey, proveOnEngine } from "./prove.ts";
import { type IsolationReport, type IsolationTarget, proveIsolation } from "./prove-isolation.ts";
import { type PruneRequest, pruneImages } from "./prune-images.ts";
import { checkPlatform, findImage, inspectImage, pullImage } from "./pull.ts";
import { ensureNetwork, listNetworks, networkName, removeNetwork } from "./run-network.ts";
import type { Ending } from "./supervise.ts";
import { sweepOrphans } from "./sweep-orphans.ts";
import { backOffMs, onceEngineAnswers } from "./wait-for-engine.ts";

const NAME_ATTEMPTS = 5;
const REFUSALS = ["SBX-1202", "SBX-1203", "SBX-1204", "SBX-1206"] as const;
const SILENT: SandboxLogger = { info: () => undefined, warn: () => undefined };

/**
 * Runs untrusted images on a Docker Engine, hardened from the first moment (compute.md 6.4).
 *
 * Nothing is sent before the first call. Containers outlive this object and the process: whoever runs the same name with the same labels
 * later adopts what is there.
 *
 * Errors: SBX-1007 for a malformed `host`; SBX-1401 for a malformed range in `egress`.
 */
export function createDockerSandbox(options: DockerSandboxOptions, deps: DockerSandboxDeps): DockerSandbox {
  return new DockerAdapter(options, deps);
}

class DockerAdapter implements DockerSandbox {
  readonly #options: DockerSandboxOptions;
  readonly #deps: Required<Omit<DockerSandboxDeps, "imageUses">>;
  readonly #uses: ImageUses;
  readonly #closing = new AbortController();
  readonly #engine: Engine;
  readonly #closeFirewall: () => Promise<void>;
  #facts: Promise<EngineFacts> | undefined;
  #rules: Promise<EgressRules> | undefined;
  #guarded = false;
  /** Runtimes that could not run a probe. */
  readonly #broken = new Set<string>();

  constructor(options: DockerSandboxOptions, deps: DockerSandboxDeps) {
    this.#options = options;
    this.#uses = deps.imageUses ?? memoryImageUses();
    this.#engine = createEngine(options, deps.clock, this.#closing.signal);
    const inside = options.ownContainer === undefined ? undefined : containerFirewall(this.#engine, options.ownContainer);
    this.#closeFirewall = async () => inside?.close();
    this.#deps = {
      logger: SILENT,
      random: Math.random,
      watchdog: createWatchdog({ clock: deps.clock }),
      firewall: inside ?? hostFirewall,
      ...deps,
    };
    egressRules(options.egress ?? {}, options.egress?.dns ?? []);
  }

  async inspectEngine(signal?: AbortSignal): Promise<EngineReport> {
    this.#facts = undefined;
    return (await this.#engineFacts(signal)).report;
  }

  async pull(image: string, options: PullOptions, signal?: AbortSignal): Promise<PulledImage> {
    const before = await findImage(this.#engine, image, signal);
    const ports = {
      engine: this.#engine,
      clock: this.#deps.clock,
      logger: this.#deps.logger,
      credentials: this.#options.registryCredentials ?? [],
      silenceMs: this.#options.pullSilenceMs,
      platform: async () => (await this.#engineFacts(signal)).platform,
    };
    const pulled = await pullImage(ports, image, options, signal);
    // An image that was here before and that we never pulled belongs to the operator.
    if (before?.id !== pulled.id || (await this.#uses.all()).has(pulled.id)) await this.#uses.touch(pulled.id, this.#deps.clock.now());
    return pulled;
  }

  findImage(image: string): Promise<PulledImage | undefined> {
    return findImage(this.#engine, image);
  }

  async run(spec: RunSpec, signal?: AbortSignal): Promise<Running> {
    checkSpec(spec);
    const facts = await this.#engineFacts(signal);
    // Between taking a name and showing the container under it an engine lets time pass, in which a rival sees neither.
    for (let attempt = 0; attempt < NAME_ATTEMPTS; attempt++) {
      if (attempt > 0) await this.#deps.clock.sleep(backOffMs(attempt, this.#deps.random), signal);
      const leftover = await this.#adoptable(spec, signal);
      if (leftover !== undefined) return this.#adopt(spec, leftover, signal);
      const id = await this.#create(spec, facts, signal);
      if (id === undefined) continue;
      await this.#start(spec, id, signal);
      return this.#follow(spec, id, spec.deadline, false);
    }
    throw new CodedError("SBX-1202", { name: spec.name, reason: "its name stays taken by a container that cannot be seen" });
  }

  async list(labels: Readonly<Record<string, string>>) {
    requireLabels(labels);
    const found = await listContainers(this.#engine, labels);
    return found.map(({ id, name, labels: own, state }) => ({ id, name, labels: own, state }));
  }

  async reap(labels: Readonly<Record<string, string>>, keep: ReadonlySet<string>): Promise<readonly string[]> {
    requireLabels(labels);
    const removed: string[] = [];
    for (const { id, name } of await listContainers(this.#engine, labels)) {
      if (keep.has(name)) continue;
      await removeContainer(this.#engine, id);
      removed.push(name);
    }
    for (const { id, name, run } of await listNetworks(this.#engine, labels)) {
      if (keep.has(run)) continue;
      await removeNetwork(this.#engine, id);
      removed.push(name);
    }
    return removed;
  }

  pruneImages(request: PruneRequest, signal?: AbortSignal): Promise<readonly string[]> {
    return pruneImages(this.#engine, this.#uses, request, signal);
  }

  async proveIsolation(
    image: string,
    labels: Readonly<Record<string, string>>,
    extra: readonly IsolationTarget[] = [],
    signal?: AbortSignal,
  ): Promise<IsolationReport> {
    const { clock, firewall } = this.#deps;
    const rules = await this.#egressRules();
    return proveIsolation({ clock, firewall, rules, run: (spec, cut) => this.run(spec, cut) }, image, labels, extra, signal);
  }

  async guardEgress(signal?: AbortSignal): Promise<boolean> {
    if (this.#options.egress?.guard === "off") return false;
    const { firewall, logger } = this.#deps;
    const rules = await this.#egressRules();
    try {
      // The chains' content is ours alone; only the jumps into them can be lost to others.
      if (!this.#guarded || !(await rulesHold(firewall, rules, signal))) await ensureRules(firewall, rules, signal);
      this.#guarded = true;
      return true;
    } catch (thrown) {
      this.#guarded = false;
      if (!hasCode(thrown, "SBX-1401") || this.#options.egress?.guard === "required") throw thrown;
      logger.warn("isolated apps can reach the local network: no firewall rules", { reason: CodedError.from(thrown).message });
      return false;
    }
  }

  prove(request: ProofRequest, signal?: AbortSignal): Promise<IsolationProof> {
    return proveOnEngine(
      {
        clock: this.#deps.clock,
        engine: this.#engine,
        logger: this.#deps.logger,
        auto: (this.#options.runtime ?? "auto") === "auto",
        report: async () => (await this.#engineFacts(signal)).report,
        run: (spec, cut) => this.run(spec, cut),
        pull: (image, timeoutMs) => this.pull(image, { timeoutMs }, signal),
        proveEgress: (image) => this.proveIsolation(image, request.labels, [], signal),
        avoid: (runtimes) => {
          for (const name of runtimes) this.#broken.add(name);
          this.#facts = undefined;
        },
      },
      request,
      signal,
    );
  }

  async withProbeImage<T>(
    { labels, fallbackImage }: Omit<ProofRequest, "network">,
    work: (image: string) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const pull = (image: string, timeoutMs: number) => this.pull(image, { timeoutMs }, signal);
    const probe = await probeImage(this.#engine, { id: proofKey(Object.entries(labels).flat()), fallback: fallbackImage, pull }, signal);
    try {
      return await work(probe.image);
    } finally {
      await probe.remove();
    }
  }

  async proofKey(signal?: AbortSignal): Promise<string> {
    const { engineId, report } = await this.#engineFacts(signal);
    return proofKey([engineId, report.version, report.runtime, report.networkRuntime ?? "", report.cgroupVersion]);
  }

  async mountsOf(container: string, signal?: AbortSignal): Promise<readonly ContainerMount[] | undefined> {
    return (await describeContainer(this.#engine, container, signal))?.mounts;
  }

  async close(): Promise<void> {
    await this.#closeFirewall().catch(() => undefined);
    this.#closing.abort(new CodedError("SBX-1006"));
  }

  #engineFacts(signal?: AbortSignal): Promise<EngineFacts> {
    if (this.#facts === undefined) {
      // Shared by all who ask, so none of them can end it by giving up.
      const reading = readEngine(this.#engine, this.#options.runtime ?? "auto", this.#broken);
      this.#facts = reading;
      reading.catch(() => {
        if (this.#facts === reading) this.#facts = undefined;
      });
    }
    return signal === undefined ? this.#facts : orAborted(this.#facts, signal);
  }

  #egressRules(): Promise<EgressRules> {
    const egress = this.#options.egress ?? {};
    this.#rules ??= (egress.dns === undefined ? hostResolvers() : Promise.resolve(egress.dns)).then((dns) => egressRules(egress, dns));
    return this.#rules;
  }

  async #prepareNetwork(spec: RunSpec, signal?: AbortSignal): Promise<string | undefined> {
    if (spec.network === "none") return undefined;
    await this.guardEgress(signal);
    return ensureNetwork(this.#engine, spec, (await this.#egressRules()).bridgePrefix, signal);
  }

  /** The container a former run of this name left behind, or undefined when the name is free. */
  async #adoptable(spec: RunSpec, signal?: AbortSignal): Promise<ContainerDetails | undefined> {
    const found = await inspectContainer(this.#engine, spec.name, signal);
    if (found === undefined) return undefined;
    if (!isOurs(found, spec)) throw new CodedError("SBX-1201", { name: spec.name });
    if (found.State.Status !== "dead" && found.State.Status !== "removing") return found;
    await removeContainer(this.#engine, found.Id, signal);
    return undefined;
  }

  async #adopt(spec: RunSpec, found: ContainerDetails, signal?: AbortSignal): Promise<Running> {
    const state = found.State.Status;
    this.#deps.logger.info("container adopted", { container: spec.name, state });
    if (state === "created") {
      await this.#prepareNetwork(spec, signal);
      await this.#start(spec, found.Id, signal);
    } else if (state !== "exited" && spec.network === "isolated") await this.guardEgress(signal);
    return this.#follow(spec, found.Id, deadlineOf(found, spec.deadline), true, state !== "exited");
  }

  /** Undefined when another call took the name meanwhile. */
  async #create(spec: RunSpec, facts: EngineFacts, signal?: AbortSignal): Promise<string | undefined> {
    const image = await inspectImage(this.#engine, spec.image, signal);
    if (image === undefined) throw new CodedError("SBX-1204", { image: spec.image });
    checkPlatform(spec.image, image, facts.platform);
    const config = containerConfig(spec, image, facts, {
      profile: this.#options.profile ?? "standard",
      init: this.#options.init ?? true,
      dns: this.#options.egress?.dns ?? [],
      network: await this.#prepareNetwork(spec, signal),
    });
    try {
      const id = await createContainer(this.#engine, spec, config, signal);
      if ((await this.#uses.all()).has(image.Id)) await this.#uses.touch(image.Id, this.#deps.clock.now());
      return id;
    } catch (thrown) {
      if (REFUSALS.some((code) => hasCode(thrown, code))) await this.#dropNetwork(spec);
      throw thrown;
    }
  }

  /** A container that cannot start is removed; one whose start we could not follow stays, to be adopted. */
  async #start(spec: RunSpec, id: string, signal?: AbortSignal): Promise<void> {
    try {
      await startContainer(this.#engine, id, spec.name, signal);
    } catch (thrown) {
      if (hasCode(thrown, "SBX-1203") || hasCode(thrown, "SBX-1207")) {
        await removeContainer(this.#engine, id);
        // A gVisor that failed to start leaves its processes behind, also when it was the image's fault.
        const swept = await sweepOrphans(id);
        if (swept > 0) this.#deps.logger.info("processes of a failed start ended", { container: spec.name, processes: swept });
        await this.#dropNetwork(spec);
      }
      throw thrown;
    }
  }

  async #dropNetwork(spec: RunSpec): Promise<void> {
    if (spec.network === "isolated") await removeNetwork(this.#engine, networkName(spec.name));
  }

  #follow(spec: RunSpec, id: string, deadline: Date, adopted: boolean, wasRunning = true): Running {
    const { clock, random, logger, watchdog } = this.#deps;
    const exceeded = (signal: AbortSignal) =>
      untilExceeded((cut) => this.#measureOutput(spec, id, cut), spec.limits.outputBytes, { clock, random, signal });
    return follow({
      run: { id, name: spec.name, deadline, adopted, wasRunning, exceeded },
      ports: { engine: this.#engine, clock, random, logger },
      watchdog,
      closing: this.#closing.signal,
      collect: (ending, onAlive, signal) => this.#collect(spec, id, ending, { onAlive, signal }),
      kill: () => killContainer(this.#engine, id),
      remove: async () => {
        await removeContainer(this.#engine, id);
        await this.#dropNetwork(spec);
      },
    });
  }

  async #collect(spec: RunSpec, id: string, { state, timedOut, outputExceeded }: Ending, following: Following): Promise<RunResult> {
    const logs = await this.#readLogs(spec, id, following);
    following.onAlive();
    const output = outputExceeded ? undefined : await this.#measureOutput(spec, id, following.signal);
    return {
      exitCode: state.ExitCode,
      oomKilled: state.OOMKilled,
      timedOut,
      outputExceeded: outputExceeded || output?.exceeded === true,
      startedAt: new Date(state.StartedAt),
      finishedAt: new Date(state.FinishedAt),
      ...logs,
    };
  }

  #readLogs(spec: RunSpec, id: string, { onAlive, signal }: Following): Promise<{ stdout: CapturedLog; stderr: CapturedLog }> {
    const { clock, random } = this.#deps;
    const { logBytes } = spec.limits;
    const gone = (): never => {
      throw new CodedError("SBX-1301", { name: spec.name });
    };
    const read = () =>
      this.#engine.stream(
        { method: "GET", path: `/containers/${id}/logs`, query: { stdout: true, stderr: true } },
        { what: "read the logs", signal, on: { 404: gone, 409: gone } },
        (source) =>
          readLogs(source, {
            logBytes,
            decode: this.#options.decode ?? "stream",
            rotated: (frames, bytes) => worstLogFileBytes(frames, bytes) > logFileBytes(spec.limits),
          }),
      );
    return onceEngineAnswers(read, { clock, random, signal, onLost: onAlive });
  }

  /** What the app has written to disk. A look that fails says nothing about the app, so it must not end the run. */
  async #measureOutput(spec: RunSpec, id: string, signal: AbortSignal): Promise<Measure> {
    try {
      const { profile, outputEntries = 100_000 } = this.#options;
      const ports = { engine: this.#engine, logger: this.#deps.logger, writableRoot: profile === "compat", entries: outputEntries };
      return await measureRun(spec, id, ports, signal);
    } catch (thrown) {
      signal.throwIfAborted();
      this.#deps.logger.warn("output could not be measured", { container: spec.name, reason: String(thrown) });
      return { bytes: 0, exceeded: false };
    }
  }
}

interface Following {
  readonly onAlive: () => void;
  readonly signal: AbortSignal;
}

/** Without labels the engine would list everybody's containers. */
function requireLabels(labels: Readonly<Record<string, string>>): void {
  if (Object.keys(labels).length === 0) throw new CodedError("SBX-1205", { name: "list", reason: "no label was given" });
}
