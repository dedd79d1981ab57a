import type { Logger, LogRecord } from "./logger.ts";
import type { Metrics } from "./metrics.ts";

/**
 * The same logger, which counts the `error` of each warning and error in `iexec_errors_total{code}`, whatever the level it prints at: what
 * is said is counted, and nobody has to remember to.
 */
export function countErrors(logger: Logger, metrics: Pick<Metrics, "countError">): Logger {
  const count = (record?: LogRecord): void => {
    if (record?.error !== undefined) metrics.countError(record.error);
  };
  return {
    trace: (message, record) => logger.trace(message, record),
    debug: (message, record) => logger.debug(message, record),
    info: (message, record) => logger.info(message, record),
    warn: (message, record) => {
      count(record);
      logger.warn(message, record);
    },
    error: (message, record) => {
      count(record);
      logger.error(message, record);
    },
    child: (bindings) => countErrors(logger.child(bindings), metrics),
    setLevel: (level) => logger.setLevel(level),
  };
}
