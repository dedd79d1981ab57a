import { type Config, helpRequested, loadConfig, readBounded, versionRequested } from "./config/load.ts";
import { renderHelp } from "./config/render.ts";
import type { ConfigDefinition, Setting, Settings, Values } from "./config/setting.ts";
import { CodedError } from "./errors/coded-error.ts";
import { createLogger, type Logger, type LogLevel } from "./logger.ts";
import { createShutdown, hookSignals, type Shutdown, type ShutdownReport } from "./shutdown.ts";

/** Where a program writes what it has to say to a person. */
export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

/**
 * How a program ends for a failure: 1 failed, 2 wrong settings, 3 a person must act, 4 temporary. 0 is an orderly end.
 *
 * @source operator-experience.md 4.3
 */
export function exitCodeOf(error: CodedError): number {
  if (error.code === "SVC-1101") return 2;
  if (error.retry === "operator") return 3;
  return error.retry === "retry" || error.retry === "environment" ? 4 : 1;
}

/** What went wrong and what to do, for a terminal. */
export const explainError = (error: CodedError): string => `${error.code}: ${error.message}\n  ${error.fix}\n`;

/** Settings every long-running program has. */
type ServiceSettings = Settings & { readonly logLevel: Setting<LogLevel, false>; readonly graceMs: Setting<number, false> };

export interface Running<S extends ServiceSettings> {
  readonly settings: Values<S>;
  /** The settings with their origins. */
  readonly config: Config<S>;
  /**
   * Reads flags, environment and settings file again; what was read from other files, such as secrets, is remembered.
   *
   * Errors: SVC-1101. SIDE EFFECTS: reads the settings file.
   */
  readonly reload: () => Config<S>;
  readonly logger: Logger;
  /** Add a step for each part that was started; `signal` aborts at the first SIGINT or SIGTERM. */
  readonly shutdown: Shutdown;
}

const never = (): Promise<never> => new Promise(() => undefined);

/** For tests: the closing step of this name never ends. Nobody else sets the variable that names it. */
function withPlantedHang(shutdown: Shutdown, wanted: string | undefined): Shutdown {
  if (wanted === undefined) return shutdown;
  return { ...shutdown, add: (step, close) => shutdown.add(step, wanted === `stop:${step}` ? never : close) };
}

/** For tests: a start that never ends. */
const startOf = <T>(main: T, wanted: string | undefined): T | typeof never => {
  if (wanted !== "start") return main;
  return () => {
    // Something else keeps the process alive, as in every start that hangs for real.
    setInterval(() => undefined, 60_000);
    return never();
  };
};

const AFTER_STEPS_MS = 250;

interface Overdue {
  readonly promise: Promise<"overdue">;
  cancel(): void;
}

/**
 * Resolves when the time to stop is over and the program has still not returned: a start that hangs hears no signal. The steps have been
 * run then, and nothing more is to be lost.
 */
function overdue(shutdown: Shutdown, graceMs: number): Overdue {
  const { promise, resolve } = Promise.withResolvers<"overdue">();
  let timer: NodeJS.Timeout | undefined;
  let cancelled = false;
  const told = () => {
    const until = performance.now() + graceMs;
    void shutdown.done.then(({ cutShort }) => {
      const left = cutShort ? AFTER_STEPS_MS : Math.max(AFTER_STEPS_MS, until - performance.now());
      if (!cancelled) timer = setTimeout(() => resolve("overdue"), left);
    });
  };
  shutdown.signal.addEventListener("abort", told, { once: true });
  return {
    promise,
    cancel() {
      cancelled = true;
      clearTimeout(timer);
    },
  };
}

/**
 * Runs a long-running program: `--help`, `--version`, settings, logger, signals, orderly end, and an exit code for whatever happens.
 *
 * @param main - starts the parts and returns when the program is to end: normally `await shutdown.done`; an error it returns or throws ends
 * the program too, after the steps of `shutdown`
 * @returns the exit code of the process
 */
export async function runService<S extends ServiceSettings>(
  program: { readonly definition: ConfigDefinition<S>; readonly version: string },
  call: {
    readonly argv: readonly string[];
    readonly env: NodeJS.ProcessEnv;
    readonly output: Output;
    /** The settings file unless `--config` names one; asked at each reading. */
    readonly file?: () => string | undefined;
  },
  main: (running: Running<S>) => Promise<CodedError | undefined>,
): Promise<number> {
  const { definition, version } = program;
  const { argv, env, output } = call;
  if (helpRequested(argv)) {
    output.out(renderHelp(definition));
    return 0;
  }
  if (versionRequested(argv)) {
    output.out(`${version}\n`);
    return 0;
  }
  const fail = (error: CodedError): number => {
    output.err(explainError(error));
    return exitCodeOf(error);
  };
  try {
    const read = new Map<string, string>();
    const remember = (path: string, maxBytes: number): string => {
      const text = readBounded(path, maxBytes);
      read.set(path, text);
      return text;
    };
    const config = loadConfig(definition, { argv, env, file: call.file?.(), readText: remember });
    const file = () => call.file?.() ?? config.file;
    const recall = (path: string, maxBytes: number): string =>
      (path === file() ? undefined : read.get(path)) ?? readBounded(path, maxBytes);
    const reload = () => loadConfig(definition, { argv, env, file: call.file?.(), readText: recall });
    const { values: settings } = config;
    const logger = createLogger({ level: settings.logLevel });
    for (const warning of config.warnings) logger.warn("check the settings", { warning });
    logger.info("starting", { program: definition.name, version });
    const { graceMs } = settings;
    const shutdown = withPlantedHang(createShutdown({ graceMs }), env.IEXEC_TEST_HANG_AT);
    const tell = ({ failures, cutShort }: ShutdownReport): void => {
      for (const { step, error } of failures) {
        if (cutShort) logger.error("it did not end in time", { error: new CodedError("SVC-1601", { step, graceMs }, { cause: error }) });
        else logger.warn("it did not end well", { step, error });
      }
    };
    void shutdown.done.then(tell);
    const unhook = hookSignals(shutdown);
    const late = overdue(shutdown, graceMs);
    try {
      const started = startOf(main, env.IEXEC_TEST_HANG_AT);
      const ended = await Promise.race([started({ settings, config, reload, logger, shutdown }), late.promise]);
      if (ended === "overdue") {
        logger.error("it did not end in time", { error: new CodedError("SVC-1601", { step: "the start", graceMs }) });
        return 0;
      }
      const error = ended;
      await shutdown.request(error?.code ?? "the end");
      return error === undefined ? 0 : fail(error);
    } catch (thrown) {
      // Being told to stop while starting is an orderly end.
      const interrupted = shutdown.signal.aborted;
      // A second request would cut short the end that is under way; after it, it only waits for what was ready late.
      if (interrupted) await shutdown.done;
      await shutdown.request("failed");
      if (interrupted) return 0;
      throw thrown;
    } finally {
      late.cancel();
      unhook();
    }
  } catch (thrown) {
    return fail(CodedError.from(thrown));
  }
}
