import { type DestinationStream, destination as fileDestination, type LevelWithSilent, type Logger as PinoLogger, pino } from "pino";
import pinoPretty from "pino-pretty";
import { CodedError } from "./errors/coded-error.ts";

/**
 * - `error`: a person must look; the message carries a code
 * - `warn`: worked around, or will need a person soon
 * - `info`: what happened to the operator's tasks, money and connections; nothing that a stranger wrote
 * - `debug`: how a decision was reached; stacks
 * - `trace`: bytes and calls
 */
export type LogLevel = "trace" | "debug" | "info" | "warn" | "error" | "silent";

export type LogRecord = Readonly<Record<string, unknown>>;

/** Records, not sentences: `log.info("contribution mined", { taskId, txHash })`. Pass a thrown value as `error`. */
export interface Logger {
  trace(message: string, record?: LogRecord): void;
  debug(message: string, record?: LogRecord): void;
  info(message: string, record?: LogRecord): void;
  warn(message: string, record?: LogRecord): void;
  error(message: string, record?: LogRecord): void;
  /** The same logger with members added to each record. */
  child(bindings: LogRecord): Logger;
  /** Changes the level of this logger and of children made later. */
  setLevel(level: LogLevel): void;
}

export interface LoggerOptions {
  readonly level: LogLevel;
  /** For people at a terminal; JSON otherwise. */
  readonly pretty?: boolean;
  /** Paths of members that never print, such as `headers.authorization`. */
  readonly redact?: readonly string[];
  /** Where lines go; standard error unless told. Standard output is for data. */
  readonly destination?: { write(line: string): void };
}

const ALWAYS_REDACTED = ["password", "privateKey", "secret", "token", "authorization", "headers.authorization", "headers.cookie"];
const STDERR = 2;

function plainError(thrown: unknown, withStack: boolean): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const coded = thrown instanceof CodedError ? thrown.toJSON() : { type: thrown.name, message: thrown.message };
  const cause = thrown.cause === undefined ? {} : { cause: plainError(thrown.cause, withStack) };
  return { ...coded, ...cause, ...(withStack ? { stack: thrown.stack } : {}) };
}

function wrap(sink: PinoLogger): Logger {
  const plain = (record: LogRecord = {}): Record<string, unknown> => {
    const withStack = sink.isLevelEnabled("debug");
    return Object.fromEntries(
      Object.entries(record).map(([key, value]) => [
        key,
        typeof value === "bigint" ? value.toString() : value instanceof Error ? plainError(value, withStack) : value,
      ]),
    );
  };
  const at =
    (level: Exclude<LogLevel, "silent">) =>
    (message: string, record?: LogRecord): void => {
      if (sink.isLevelEnabled(level)) sink[level](plain(record), message);
    };
  return {
    trace: at("trace"),
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (bindings) => wrap(sink.child(plain(bindings))),
    setLevel(level) {
      sink.level = level;
    },
  };
}

/**
 * A logger that writes one JSON object per line (`time` is ISO 8601, `level` a word), or text for people with `pretty`.
 *
 * SIDE EFFECTS: writes to standard error, at once, so that a crash loses nothing.
 */
export function createLogger({ level, pretty = false, redact = [], destination }: LoggerOptions): Logger {
  const lines: DestinationStream = destination ?? fileDestination({ dest: STDERR, sync: true });
  const prettify = pretty
    ? pinoPretty.prettyFactory({ colorize: destination === undefined && process.stderr.isTTY, ignore: "pid,hostname" })
    : undefined;
  const stream: DestinationStream = prettify === undefined ? lines : { write: (line) => lines.write(prettify(line)) };
  return wrap(
    pino(
      {
        level: level satisfies LevelWithSilent,
        base: null,
        timestamp: () => `,"time":"${new Date().toISOString()}"`,
        formatters: { level: (label) => ({ level: label }) },
        redact: { paths: [...new Set([...ALWAYS_REDACTED, ...redact])], censor: "[redacted]" },
      },
      stream,
    ),
  );
}

/** Says nothing; for tests and for callers that do not care. */
export const silentLogger: Logger = createLogger({ level: "silent", destination: { write: () => undefined } });
