import type { EngineReport } from "@iexec-ts/sandbox";
import { systemClock } from "@iexec-ts/service";
import { knownImages, withSandbox } from "../cli/commands/image.ts";
import type { WorkerSettings } from "../config.ts";
import { oneLook } from "../one-look.ts";
import type { Tee } from "../tee/tee.ts";
import { machineView } from "./machine.ts";
import type { MachineView } from "./model.ts";

/** The engine and its images change slowly, and asking costs. */
const AGE_MS = 300_000;
const ENGINE_MS = 5_000;

/** Longest time to wait for an engine that hangs, in milliseconds. */
const ASK_MS = 10_000;

/** What a value was, and when it was asked for last. */
class Slow<T> {
  #value: T | undefined;
  #at = Number.NEGATIVE_INFINITY;
  #asking: Promise<void> | undefined;
  readonly #ask: () => Promise<T>;

  constructor(ask: () => Promise<T>) {
    this.#ask = oneLook("the container engine", ask, { ms: ASK_MS });
  }

  /** The last known value; asks again in the background when it is old. A failure keeps what was known. */
  peek(): T | undefined {
    if (Date.now() - this.#at > AGE_MS) void this.#refresh();
    return this.#value;
  }

  /** The value, asked for when it is old. */
  async get(): Promise<T | undefined> {
    if (Date.now() - this.#at > AGE_MS) await this.#refresh();
    return this.#value;
  }

  #refresh(): Promise<void> {
    this.#asking ??= this.#ask()
      .then(
        (value) => {
          this.#value = value;
          this.#at = Date.now();
        },
        () => undefined,
      )
      .finally(() => {
        this.#asking = undefined;
      });
    return this.#asking;
  }
}

/** What this host is, asked of its engine no more often than every few minutes. */
export class HostFacts {
  readonly #settings: WorkerSettings;
  readonly #tee: Pick<Tee, "summary">;
  readonly #engine: Slow<EngineReport>;
  readonly #images: Slow<number>;

  constructor(settings: WorkerSettings, tee: Pick<Tee, "summary">) {
    this.#settings = settings;
    this.#tee = tee;
    const context = { settings, clock: systemClock };
    this.#engine = new Slow(() => withSandbox(context, (sandbox) => sandbox.inspectEngine(AbortSignal.timeout(ENGINE_MS))));
    this.#images = new Slow(() =>
      withSandbox(context, async (sandbox, uses) => (await knownImages(sandbox, uses)).reduce((sum, { bytes }) => sum + bytes, 0)),
    );
  }

  view(freeMib: number | undefined): MachineView {
    return machineView(this.#settings, this.#engine.peek(), this.#tee.summary, freeMib);
  }

  /** Bytes of the images this worker pulled; shared layers count each time. */
  imageBytes(): Promise<number | undefined> {
    return this.#images.get();
  }
}
