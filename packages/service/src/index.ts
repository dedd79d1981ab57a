export { type Backoff, type BackoffOptions, backoff } from "./backoff.ts";
export { type Clock, systemClock } from "./clock.ts";
export { Closers } from "./closers.ts";
export { configProblems, defineConfig } from "./config/define.ts";
export { guess } from "./config/guess.ts";
export {
  type Config,
  type ConfigSources,
  type Explanation,
  helpRequested,
  loadConfig,
  type Origin,
  versionRequested,
} from "./config/load.ts";
export { renderHelp, renderReference } from "./config/render.ts";
export {
  asAddress,
  asAmount,
  asChoice,
  asDecimal,
  asDurationMs,
  asList,
  asPort,
  asSwitch,
  asText,
  asUrl,
  asWholeNumber,
} from "./config/schemas.ts";
export {
  type ConfigDefinition,
  type ConfigShape,
  type Rule,
  type Setting,
  type Settings,
  setting,
  type ValueOf,
  type Values,
} from "./config/setting.ts";
export { countErrors } from "./count-errors.ts";
export {
  appendTo,
  placeFolder,
  replaceFile,
  replaceFileSync,
  replaceLink,
  sweepDrafts,
  syncDirectory,
  writeAll,
  writeDurably,
} from "./durable-file.ts";
export { endProcess } from "./end-process.ts";
export { CATALOGUE, type ErrorCode } from "./errors/catalogue.ts";
export { CodedError, type ErrorArguments, hasCode } from "./errors/coded-error.ts";
export type { ErrorDescriptor, RetryClass } from "./errors/descriptor.ts";
export { freePort } from "./free-port.ts";
export { type ComponentHealth, createHealth, type Health, type HealthReport, type HealthStatus } from "./http/health.ts";
export { createHttpServer, type HttpApp, type HttpServer, type HttpServerOptions } from "./http/server.ts";
export { type EncryptOptions, encryptKeystore, openKeystore, readKeystore, type Wallet, writeKeystore } from "./keystore/keystore.ts";
export { type Keystore, parseKeystore } from "./keystore/parse.ts";
export { acquireLock, type Lock } from "./lock.ts";
export { createLogger, type Logger, type LoggerOptions, type LogLevel, type LogRecord, silentLogger } from "./logger.ts";
export {
  type Counter,
  createMetrics,
  type Gauge,
  type Histogram,
  type MetricSpec,
  type Metrics,
} from "./metrics.ts";
export { type PlantedHang, plantedHang, plantHang } from "./plant-hang.ts";
export { exitCodeOf, explainError, type Output, type Running, runService } from "./program.ts";
export { type Random, seededRandom, systemRandom } from "./random.ts";
export { Redacted } from "./redacted.ts";
export { openScope, orAborted, type Scope, type ScopeLimit } from "./scope.ts";
export { createShutdown, hookSignals, type Shutdown, type ShutdownReport, type SignalSource } from "./shutdown.ts";
export { tellStalls } from "./tell-stalls.ts";
export { createWatchdog, type LoopOptions, type Pulse, type Stall, type Watchdog, type WatchdogDeps } from "./watchdog.ts";
