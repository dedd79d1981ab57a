import { CodedError } from "@iexec-ts/service";
import type { RunSpec, Sandbox } from "./api.ts";

/** Apps every world of the suite must offer. `forever` ignores SIGTERM; `wordy` writes 100,000 times "a" to stdout. */
export type ConformanceApp = "hello" | "exit-3" | "forever" | "wordy" | "out-of-memory" | "greedy";

/** One engine, shared by the sandboxes that `open` makes: closing one and opening the next is a crash of the worker. */
export interface ConformanceWorld {
  readonly open: () => Sandbox;
  readonly app: (app: ConformanceApp) => { readonly image: string; readonly args: readonly string[] | undefined };
  /** A reference that no registry knows. */
  readonly missingImage: string;
  /** Creates a container of this name that is not ours; it is removed with the world. */
  readonly addForeign: (name: string) => Promise<void>;
  /** Name prefix and label value, unique to this world. */
  readonly id: string;
  /** A folder of the host that apps may write to. */
  readonly outputFolder: () => Promise<string>;
  readonly close: () => Promise<void>;
}

interface Expectation {
  toBe(expected: unknown): void;
  toEqual(expected: unknown): void;
  toMatchObject(expected: object): void;
  toBeUndefined(): void;
  toBeGreaterThanOrEqual(expected: number): void;
}

/** The three functions of a test runner the suite needs; those of vitest fit. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => void;
  readonly test: (name: string, body: () => Promise<void>) => void;
  readonly expect: (value: unknown) => Expectation;
}

const MIB = 1024 * 1024;
const HOUR_MS = 3_600_000;

/**
 * What every implementation of `Sandbox` promises. Run it against an adapter before using the adapter.
 *
 * @param make - a fresh world for each test
 */
export function sandboxConformance({ describe, test, expect }: TestRunner, make: () => Promise<ConformanceWorld>): void {
  const inWorld = (body: (world: ConformanceWorld) => Promise<void>) => async () => {
    const world = await make();
    try {
      await body(world);
    } finally {
      await world.close();
    }
  };
  const specFor = (world: ConformanceWorld, app: ConformanceApp, over: Partial<RunSpec> = {}): RunSpec => ({
    name: `${world.id}-app`,
    ...world.app(app),
    env: {},
    labels: { "iexec.worker": world.id, "iexec.task": "0x01" },
    mounts: [],
    limits: { memoryBytes: 64 * MIB, cpus: 1, pids: 64, tmpBytes: 16 * MIB, outputBytes: 16 * MIB, logBytes: 64 * 1024 },
    network: "none",
    deadline: new Date(Date.now() + HOUR_MS),
    ...over,
  });
  const started = async (world: ConformanceWorld, spec: RunSpec) => {
    const sandbox = world.open();
    await sandbox.pull(spec.image, { timeoutMs: 60_000 });
    return { sandbox, running: await sandbox.run(spec) };
  };
  const codeOf = (call: Promise<unknown>): Promise<unknown> =>
    call.then(
      () => "no error",
      (thrown: unknown) => (thrown instanceof CodedError ? thrown.code : thrown),
    );

  describe("sandbox conformance: running", () => {
    test(
      "stdout, stderr and exit code of an app that ends well",
      inWorld(async (world) => {
        const { running } = await started(world, specFor(world, "hello"));
        expect(running.adopted).toBe(false);
        expect(await running.wait()).toMatchObject({
          exitCode: 0,
          timedOut: false,
          oomKilled: false,
          outputExceeded: false,
          stdout: { text: "out\n", bytes: 4, truncated: false },
          stderr: { text: "err\n", bytes: 4, truncated: false },
        });
      }),
    );

    test(
      "a wait says that it is alive while the app runs, and no more once it was given up",
      inWorld(async (world) => {
        const { running } = await started(world, specFor(world, "forever"));
        const abort = new AbortController();
        const alive = Promise.withResolvers<void>();
        let signs = 0;
        const waiting = codeOf(
          running.wait(abort.signal, () => {
            signs += 1;
            alive.resolve();
          }),
        );
        await alive.promise;
        abort.abort("enough");
        expect(await waiting).toBe("enough");
        const before = signs;
        await running.kill();
        await running.wait();
        expect(signs).toBe(before);
      }),
    );

    test(
      "an exit code other than 0 is a result, not an error",
      inWorld(async (world) => {
        const { running } = await started(world, specFor(world, "exit-3"));
        expect(await running.wait()).toMatchObject({ exitCode: 3, timedOut: false });
      }),
    );

    test(
      "past its deadline an app is killed",
      inWorld(async (world) => {
        const deadline = new Date(Date.now() + 1_500);
        const { running } = await started(world, specFor(world, "forever", { deadline }));
        const result = await running.wait();
        expect(result).toMatchObject({ exitCode: 137, timedOut: true, oomKilled: false });
        expect(result.finishedAt.getTime()).toBeGreaterThanOrEqual(deadline.getTime());
      }),
    );

    test(
      "a kill on request is no time-out",
      inWorld(async (world) => {
        const { running } = await started(world, specFor(world, "forever"));
        await running.kill();
        expect(await running.wait()).toMatchObject({ exitCode: 137, timedOut: false });
      }),
    );

    test(
      "an app killed for memory says so",
      inWorld(async (world) => {
        const { running } = await started(world, specFor(world, "out-of-memory"));
        expect(await running.wait()).toMatchObject({ exitCode: 137, oomKilled: true, timedOut: false });
      }),
    );

    test(
      "an app that fills its output is killed for it",
      inWorld(async (world) => {
        const mounts = [{ host: await world.outputFolder(), container: "/iexec_out", readOnly: false }];
        const { running } = await started(world, specFor(world, "greedy", { mounts }));
        expect(await running.wait()).toMatchObject({ exitCode: 137, outputExceeded: true, timedOut: false });
      }),
    );

    test(
      "of a long log the end is kept",
      inWorld(async (world) => {
        const spec = specFor(world, "wordy");
        const { running } = await started(world, { ...spec, limits: { ...spec.limits, logBytes: 1_000 } });
        expect((await running.wait()).stdout).toEqual({ text: "a".repeat(1_000), bytes: 100_000, truncated: true });
      }),
    );

    test(
      "giving up waiting leaves the app running",
      inWorld(async (world) => {
        const { sandbox, running } = await started(world, specFor(world, "forever"));
        const abort = new AbortController();
        const waiting = codeOf(running.wait(abort.signal));
        abort.abort("enough");
        expect(await waiting).toBe("enough");
        expect((await sandbox.list({ "iexec.worker": world.id }))[0]).toMatchObject({ state: "running" });
      }),
    );

    test(
      "remove may be repeated, and frees the name",
      inWorld(async (world) => {
        const { sandbox, running } = await started(world, specFor(world, "hello"));
        await running.wait();
        await running.remove();
        await running.remove();
        const next = specFor(world, "exit-3");
        await sandbox.pull(next.image, { timeoutMs: 60_000 });
        const again = await sandbox.run(next);
        expect(again.adopted).toBe(false);
        expect((await again.wait()).exitCode).toBe(3);
      }),
    );
  });

  describe("sandbox conformance: after a crash of the worker", () => {
    test(
      "a running app is adopted and keeps its first deadline",
      inWorld(async (world) => {
        const spec = specFor(world, "forever", { deadline: new Date(Date.now() + 3_000) });
        const { sandbox, running } = await started(world, spec);
        await sandbox.close();
        const adopted = await world.open().run({ ...spec, deadline: new Date(Date.now() + HOUR_MS) });
        expect(adopted).toMatchObject({ adopted: true, id: running.id });
        expect(await adopted.wait()).toMatchObject({ timedOut: true });
      }),
    );

    test(
      "a finished app is harvested with its logs",
      inWorld(async (world) => {
        const spec = specFor(world, "hello");
        const { sandbox, running } = await started(world, spec);
        const first = await running.wait();
        await sandbox.close();
        const adopted = await world.open().run(spec);
        expect(adopted).toMatchObject({ adopted: true, id: running.id });
        expect(await adopted.wait()).toEqual(first);
      }),
    );

    test(
      "a closed sandbox stops waiting and kills nothing",
      inWorld(async (world) => {
        const { sandbox, running } = await started(world, specFor(world, "forever"));
        const waiting = codeOf(running.wait());
        await sandbox.close();
        expect(await waiting).toBe("SBX-1006");
        expect((await world.open().list({ "iexec.worker": world.id }))[0]).toMatchObject({ id: running.id, state: "running" });
      }),
    );

    test(
      "a container of the same name that is not ours is left alone",
      inWorld(async (world) => {
        const spec = specFor(world, "hello");
        const sandbox = world.open();
        await sandbox.pull(spec.image, { timeoutMs: 60_000 });
        await world.addForeign(spec.name);
        expect(await codeOf(sandbox.run(spec))).toBe("SBX-1201");
      }),
    );

    test(
      "another task's container of the same name is not adopted",
      inWorld(async (world) => {
        const spec = specFor(world, "forever");
        const { sandbox } = await started(world, spec);
        expect(await codeOf(sandbox.run({ ...spec, labels: { ...spec.labels, "iexec.task": "0x02" } }))).toBe("SBX-1201");
      }),
    );

    test(
      "reap removes what is ours and not kept",
      inWorld(async (world) => {
        const { sandbox, running } = await started(world, specFor(world, "forever"));
        const second = specFor(world, "hello", { name: `${world.id}-second` });
        await sandbox.pull(second.image, { timeoutMs: 60_000 });
        await sandbox.run(second);
        const labels = { "iexec.worker": world.id };
        expect(await sandbox.reap(labels, new Set([`${world.id}-app`]))).toEqual([`${world.id}-second`]);
        expect(await sandbox.list(labels)).toMatchObject([{ id: running.id, name: `${world.id}-app`, labels, state: "running" }]);
        expect(await sandbox.reap(labels, new Set())).toEqual([`${world.id}-app`]);
        expect(await sandbox.list(labels)).toEqual([]);
        expect(await codeOf(running.wait())).toBe("SBX-1301");
      }),
    );

    test(
      "nothing is listed or reaped without a label",
      inWorld(async (world) => {
        const sandbox = world.open();
        expect(await codeOf(sandbox.list({}))).toBe("SBX-1205");
        expect(await codeOf(sandbox.reap({}, new Set()))).toBe("SBX-1205");
      }),
    );
  });

  describe("sandbox conformance: images", () => {
    test(
      "an image nobody has",
      inWorld(async (world) => {
        const sandbox = world.open();
        expect(await sandbox.findImage(world.missingImage)).toBeUndefined();
        expect(await codeOf(sandbox.pull(world.missingImage, { timeoutMs: 60_000 }))).toBe("SBX-1101");
        expect(await codeOf(sandbox.run({ ...specFor(world, "hello"), image: world.missingImage }))).toBe("SBX-1204");
      }),
    );

    test(
      "a pulled image is found",
      inWorld(async (world) => {
        const sandbox = world.open();
        const { image } = world.app("hello");
        let signs = 0;
        const onAlive = () => {
          signs += 1;
        };
        const { id } = await sandbox.pull(image, { timeoutMs: 60_000, onAlive });
        expect(signs).toBeGreaterThanOrEqual(1);
        expect(await sandbox.findImage(image)).toMatchObject({ id });
      }),
    );
  });

  describe("sandbox conformance: bad descriptions", () => {
    for (const [what, over] of [
      ["a name with a slash", { name: "a/b" }],
      ["no label", { labels: {} }],
      ["an environment name with =", { env: { "A=B": "c" } }],
      ["no deadline", { deadline: new Date(Number.NaN) }],
      ["a relative mount", { mounts: [{ host: "x", container: "/x", readOnly: true }] }],
    ] satisfies [string, Partial<RunSpec>][]) {
      test(
        `${what} is refused`,
        inWorld(async (world) => {
          expect(await codeOf(world.open().run(specFor(world, "hello", over)))).toBe("SBX-1205");
        }),
      );
    }
  });
}
