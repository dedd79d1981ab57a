import { collectDefaultMetrics, Counter as PromCounter, Gauge as PromGauge, Histogram as PromHistogram, Registry } from "prom-client";
import { CodedError } from "./errors/coded-error.ts";

const LAG_EVERY_MS = 500;

type Labels<L extends string> = [L] extends [never] ? [] : [labels: Readonly<Record<L, string>>];

export interface Counter<L extends string = never> {
  increment(...labels: Labels<L>): void;
  add(amount: number, ...labels: Labels<L>): void;
}

export interface Gauge<L extends string = never> {
  set(value: number, ...labels: Labels<L>): void;
  add(amount: number, ...labels: Labels<L>): void;
}

export interface Histogram<L extends string = never> {
  observe(value: number, ...labels: Labels<L>): void;
}

export interface MetricSpec<L extends string> {
  /** Without the prefix; counters end in `_total`, others in their unit (`_seconds`, `_bytes`, `_ratio`) or are plain counts of things. */
  readonly name: string;
  /** Why it exists, in one sentence. */
  readonly help: string;
  /** Few values each: never an id, an address or a path. */
  readonly labels?: readonly L[];
}

export interface Metrics {
  counter<const L extends string = never>(spec: MetricSpec<L>): Counter<L>;
  gauge<const L extends string = never>(spec: MetricSpec<L> & { readonly read?: () => number }): Gauge<L>;
  histogram<const L extends string = never>(spec: MetricSpec<L> & { readonly buckets: readonly number[] }): Histogram<L>;
  /** Counts anything thrown in `iexec_errors_total{code}`, each object once however often it is passed on, and returns it as a coded error. */
  countError(thrown: unknown): CodedError;
  /** The page at /metrics. */
  text(): Promise<string>;
  readonly contentType: string;
}

function checkName(name: string, isValid: RegExp): void {
  if (!isValid.test(name)) throw new CodedError("SVC-1000", { reason: `the metric name ${name} breaks the naming rule` });
}

const labelsOf = <L extends string>(labels: readonly (Readonly<Record<L, string>> | undefined)[]): Readonly<Record<string, string>> =>
  labels[0] ?? {};

/**
 * Metrics of one part of a process; each call has its own registry, so that several services can live in one process.
 *
 * @param prefix - such as `iexec_worker_`; put before every name but `iexec_errors_total`
 */
export function createMetrics(prefix: string, options: { readonly withProcess?: boolean } = {}): Metrics {
  const registry = new Registry();
  // Its timer wakes the process: at the 10 ms it would have otherwise, an idle program costs half a percent of a CPU.
  if (options.withProcess === true) collectDefaultMetrics({ register: registry, prefix, eventLoopMonitoringPrecision: LAG_EVERY_MS });
  const errors = new PromCounter({
    name: "iexec_errors_total",
    help: "Errors by code; each code is explained in the reference.",
    labelNames: ["code"],
    registers: [registry],
  });
  const counted = new WeakSet<object>();
  const common = <L extends string>({ name, help, labels = [] }: MetricSpec<L>) => ({
    name: `${prefix}${name}`,
    help,
    labelNames: [...labels],
    registers: [registry],
  });

  return {
    counter(spec) {
      checkName(spec.name, /^[a-z][a-z0-9_]*_total$/);
      const counter = new PromCounter<string>(common(spec));
      return {
        increment: (...labels) => counter.inc(labelsOf(labels)),
        add: (amount, ...labels) => counter.inc(labelsOf(labels), amount),
      };
    },
    gauge(spec) {
      checkName(spec.name, /^[a-z][a-z0-9_]*(?<!_total)$/);
      const { read } = spec;
      const gauge = new PromGauge<string>({
        ...common(spec),
        ...(read === undefined
          ? {}
          : {
              collect() {
                this.set(read());
              },
            }),
      });
      return {
        set: (value, ...labels) => gauge.set(labelsOf(labels), value),
        add: (amount, ...labels) => gauge.inc(labelsOf(labels), amount),
      };
    },
    histogram(spec) {
      checkName(spec.name, /^[a-z][a-z0-9_]*_(seconds|bytes|ratio)$/);
      const histogram = new PromHistogram<string>({ ...common(spec), buckets: [...spec.buckets] });
      return { observe: (value, ...labels) => histogram.observe(labelsOf(labels), value) };
    },
    countError(thrown) {
      const coded = CodedError.from(thrown);
      if (typeof thrown === "object" && thrown !== null) {
        if (counted.has(thrown)) return coded;
        counted.add(thrown).add(coded);
      }
      errors.inc({ code: coded.code });
      return coded;
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}
