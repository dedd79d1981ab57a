import { createHash, randomUUID } from "node:crypto";
import { type Clock, CodedError, openScope, orAborted } from "@iexec-ts/service";
import {
  type CapturedLog,
  type EngineReport,
  LABELS,
  type PulledImage,
  type Running,
  type RunResult,
  type RunSpec,
  type Sandbox,
} from "./api.ts";
import { checkSpec } from "./container-config.ts";
import { LogTail } from "./logs.ts";

/** Between two signs of life of a wait. */
const LOOK_AGAIN_MS = 30_000;
/** Longest sleep a timer of Node can hold. */
const LONGEST_SLEEP_MS = 2 ** 31 - 1;

/** What a scripted app does. */
export interface FakeApp {
  readonly exitCode?: number;
  readonly stdout?: string;
  readonly stderr?: string;
  /** Milliseconds on the engine's clock before it ends by itself; `forever` until it is killed. @default 0 */
  readonly runMs?: number | "forever";
  readonly oomKilled?: boolean;
  /** Size of what it writes; above `outputBytes` it is killed. */
  readonly outputBytes?: number;
  /** Runs in this process when the app ends by itself, for example to write into its mounts. */
  readonly effect?: (spec: RunSpec) => Promise<void>;
}

export type FakeOperation = "inspectEngine" | "pull" | "findImage" | "run" | "wait" | "kill" | "remove" | "list" | "reap";

interface FakeContainer {
  readonly id: string;
  readonly spec: Pick<RunSpec, "name" | "labels">;
  readonly deadline: Date;
  readonly app: FakeApp;
  readonly startedAt: Date;
  readonly exited: Promise<void>;
  readonly end: (exitCode: number) => void;
  ended: { readonly exitCode: number; readonly at: Date } | undefined;
}

/** The state behind fake sandboxes: it stays when they are closed, as a Docker Engine outlives a worker. */
export class FakeEngine {
  readonly clock: Clock;
  readonly #registry = new Map<string, (spec: RunSpec) => FakeApp>();
  readonly #pulled = new Set<string>();
  readonly #containers = new Map<string, FakeContainer>();
  readonly #hanging: FakeOperation[] = [];
  readonly #failures = new Map<FakeOperation, unknown[]>();
  /** While true every call fails with SBX-1001; running apps go on. */
  down = false;
  /** Containers started so far; one per computation, however often the worker crashed. */
  starts = 0;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  /** Makes an image known to the registry. */
  publish(image: string, app: FakeApp | ((spec: RunSpec) => FakeApp)): void {
    this.#registry.set(image, typeof app === "function" ? app : () => app);
  }

  /** Takes an image out of the registry; a pulled copy stays. */
  unpublish(image: string): void {
    this.#registry.delete(image);
  }

  /** The next calls of this operation throw these, one each. */
  failNext(operation: FakeOperation, ...errors: readonly unknown[]): void {
    this.#failures.set(operation, [...(this.#failures.get(operation) ?? []), ...errors]);
  }

  /** A container that no worker made. */
  addForeign(name: string): void {
    this.#create({ name, labels: {} }, new Date(Number.NaN), { runMs: "forever" });
  }

  /** The next call of this operation is never answered, and hears no signal either. */
  hangNext(operation: FakeOperation): void {
    this.#hanging.push(operation);
  }

  /** @internal */
  async enter(operation: FakeOperation): Promise<void> {
    const hung = this.#hanging.indexOf(operation);
    if (hung >= 0) {
      this.#hanging.splice(hung, 1);
      await new Promise(() => undefined);
    }
    const failure = this.#failures.get(operation)?.shift();
    if (failure !== undefined) throw failure;
    if (this.down) throw new CodedError("SBX-1001", { what: operation, reason: "the fake engine is down" });
  }

  /** @internal */
  pull(image: string): PulledImage {
    const published = this.#registry.has(image);
    if (!published && !this.#pulled.has(image)) throw new CodedError("SBX-1101", { image });
    this.#pulled.add(image);
    return { ...describeImage(image), stale: !published };
  }

  /** @internal */
  find(image: string): PulledImage | undefined {
    return this.#pulled.has(image) ? describeImage(image) : undefined;
  }

  /** @internal */
  start(spec: RunSpec): { container: FakeContainer; adopted: boolean } {
    const existing = this.#containers.get(spec.name);
    if (existing !== undefined) {
      const ours = Object.entries(spec.labels).every(([key, value]) => existing.spec.labels[key] === value);
      if (!ours) throw new CodedError("SBX-1201", { name: spec.name });
      return { container: existing, adopted: true };
    }
    const app = this.#registry.get(spec.image);
    if (app === undefined || !this.#pulled.has(spec.image)) throw new CodedError("SBX-1204", { image: spec.image });
    this.starts += 1;
    return { container: this.#create(spec, spec.deadline, app(spec), spec), adopted: false };
  }

  #create(named: Pick<RunSpec, "name" | "labels">, deadline: Date, app: FakeApp, spec?: RunSpec): FakeContainer {
    const { promise: exited, resolve } = Promise.withResolvers<void>();
    const killed = new AbortController();
    const container: FakeContainer = {
      id: randomUUID().replaceAll("-", ""),
      spec: named,
      deadline,
      app,
      startedAt: this.clock.now(),
      exited,
      ended: undefined,
      end: (exitCode) => {
        container.ended ??= { exitCode, at: this.clock.now() };
        killed.abort();
        resolve();
      },
    };
    this.#containers.set(named.name, container);
    const { runMs = 0 } = app;
    if (runMs !== "forever") {
      const finish = async () => {
        if (runMs > 0) await this.clock.sleep(runMs, killed.signal);
        if (spec !== undefined) await app.effect?.(spec);
        container.end(app.exitCode ?? 0);
      };
      // A killed app has ended already; an effect that throws ends the app like a crash.
      finish().catch(() => container.end(1));
    }
    return container;
  }

  /** @internal */
  remove(name: string): void {
    this.#containers.get(name)?.end(137);
    this.#containers.delete(name);
  }

  /** @internal */
  has(container: FakeContainer): boolean {
    return this.#containers.get(container.spec.name) === container;
  }

  /** @internal */
  matching(labels: Readonly<Record<string, string>>): readonly FakeContainer[] {
    return [...this.#containers.values()].filter(({ spec }) => Object.entries(labels).every(([key, value]) => spec.labels[key] === value));
  }
}

const describeImage = (image: string): PulledImage => {
  const digest = createHash("sha256").update(image).digest("hex");
  return { id: `sha256:${digest}`, digests: [`${image.replace(/[:@][^/]*$/, "")}@sha256:${digest}`], bytes: 1_000_000, stale: false };
};

/** A sandbox without Docker, for the tests of other packages; passes the same conformance suite as the Docker adapter. */
export function createFakeSandbox(engine: FakeEngine): Sandbox {
  const closing = new AbortController();
  const enter = async (operation: FakeOperation): Promise<void> => {
    if (closing.signal.aborted) throw new CodedError("SBX-1006");
    await engine.enter(operation);
  };
  const requireLabels = (labels: Readonly<Record<string, string>>) => {
    if (Object.keys(labels).length === 0) throw new CodedError("SBX-1205", { name: "list", reason: "no label was given" });
  };

  return {
    inspectEngine: async (): Promise<EngineReport> => {
      await enter("inspectEngine");
      return {
        version: "0.0.0-fake",
        apiVersion: "1.41",
        runtimes: ["runc"],
        runtime: "runc",
        networkRuntime: "runc",
        cgroupVersion: "2",
        cpus: 2,
        memoryBytes: 8 * 1024 ** 3,
        rootless: false,
        weaknesses: [],
        ignoredLimits: [],
      };
    },
    pull: async (image, { onAlive }, signal) => {
      signal?.throwIfAborted();
      await enter("pull");
      onAlive?.();
      return engine.pull(image);
    },
    findImage: async (image) => {
      await enter("findImage");
      return engine.find(image);
    },
    run: async (spec, signal) => {
      signal?.throwIfAborted();
      checkSpec(spec);
      await enter("run");
      const { container, adopted } = engine.start(spec);
      return follow(engine, container, spec, adopted, closing.signal, enter);
    },
    list: async (labels) => {
      requireLabels(labels);
      await enter("list");
      return engine.matching(labels).map(({ id, spec, deadline, ended }) => ({
        id,
        name: spec.name,
        labels: { ...spec.labels, [LABELS.deadline]: deadline.toISOString() },
        state: ended === undefined ? "running" : "exited",
      }));
    },
    reap: async (labels, keep) => {
      requireLabels(labels);
      await enter("reap");
      const names = engine.matching(labels).map(({ spec }) => spec.name);
      const removed = names.filter((name) => !keep.has(name));
      for (const name of removed) engine.remove(name);
      return removed;
    },
    close: async () => closing.abort(new CodedError("SBX-1006")),
  };
}

function follow(
  engine: FakeEngine,
  container: FakeContainer,
  spec: RunSpec,
  adopted: boolean,
  closing: AbortSignal,
  enter: (operation: FakeOperation) => Promise<void>,
): Running {
  const { app } = container;
  const tooLarge = (app.outputBytes ?? 0) > spec.limits.outputBytes;
  if (tooLarge) container.end(137);
  const done = openScope([closing]);
  const left = container.deadline.getTime() - engine.clock.now().getTime();
  const late = engine.clock.sleep(Math.min(Math.max(0, left), LONGEST_SLEEP_MS), done.signal).then(
    () => container.end(137),
    () => undefined,
  );
  container.exited.then(() => done.end());

  const tellAlive = async (signal: AbortSignal, onAlive: () => void): Promise<void> => {
    while (!signal.aborted && engine.has(container)) {
      onAlive();
      await engine.clock.sleep(LOOK_AGAIN_MS, signal).catch(() => undefined);
    }
  };
  const result = async (): Promise<RunResult> => {
    await Promise.race([container.exited, late.then(() => container.exited)]);
    const { ended } = container;
    if (ended === undefined || !engine.has(container)) throw new CodedError("SBX-1301", { name: spec.name });
    return {
      exitCode: ended.exitCode,
      oomKilled: app.oomKilled ?? false,
      timedOut: ended.exitCode === 137 && !tooLarge && ended.at >= container.deadline,
      outputExceeded: tooLarge,
      startedAt: container.startedAt,
      finishedAt: ended.at,
      stdout: capture(app.stdout, spec.limits.logBytes),
      stderr: capture(app.stderr, spec.limits.logBytes),
    };
  };

  return {
    id: container.id,
    adopted,
    wait: async (signal, onAlive) => {
      signal?.throwIfAborted();
      await enter("wait");
      using waiting = openScope([closing, signal]);
      if (onAlive !== undefined) void tellAlive(waiting.signal, onAlive);
      return await orAborted(result(), waiting.signal);
    },
    kill: async () => {
      await enter("kill");
      container.end(137);
    },
    remove: async () => {
      await enter("remove");
      if (engine.has(container)) engine.remove(spec.name);
    },
  };
}

function capture(text: string | undefined, logBytes: number): CapturedLog {
  const tail = new LogTail(logBytes, "stream");
  tail.add({ bytes: Buffer.from(text ?? ""), last: true });
  return tail.finish(false);
}
