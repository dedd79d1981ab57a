import { type Config, helpRequested, loadConfig, readBounded, versionRequested } from "./config/load.ts";
import { renderHelp } from "./config/render.ts";
import type { ConfigDefinition, Setting, Settings, Values } from "./config/setting.ts";
import { CodedError } from "./errors/coded-error.ts";
import { createLogger, type Logger, type LogLevel } from "./logger.ts";
import { createShutdown, hookSignals, type Shutdown } from "./shutdown.ts";

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
    const shutdown = createShutdown({ graceMs: settings.graceMs });
    const unhook = hookSignals(shutdown);
    try {
      const error = await main({ settings, config, reload, logger, shutdown });
      await shutdown.request(error?.code ?? "the end");
      return error === undefined ? 0 : fail(error);
    } catch (thrown) {
      // Being told to stop while starting is an orderly end.
      const interrupted = shutdown.signal.aborted;
      await shutdown.request("failed");
      if (interrupted) return 0;
      throw thrown;
    } finally {
      unhook();
    }
  } catch (thrown) {
    return fail(CodedError.from(thrown));
  }
}
