import { cpus, totalmem } from "node:os";

/** One measured number, or several of the same kind. */
export interface Figure {
  readonly value: number;
  readonly unit: string;
  readonly target?: { readonly max: number } | { readonly min: number };
  readonly n: number;
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

export type Target = Figure["target"];

const round = (x: number): number => Math.round(x * 1_000) / 1_000;

/** Value below which `share` (0 to 1) of the samples lie. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN;
}

/**
 * @param value - what is compared with the target; the median of the samples unless told
 */
export function figure(samples: readonly number[], unit: string, target?: Target, value = quantile(samples, 0.5)): Figure {
  return {
    value: round(value),
    unit,
    ...(target === undefined ? {} : { target }),
    n: samples.length,
    min: round(Math.min(...samples)),
    median: round(quantile(samples, 0.5)),
    max: round(Math.max(...samples)),
  };
}

/** Whether a figure keeps its target; true without one. */
export function keeps({ value, target }: Figure): boolean {
  if (target === undefined) return true;
  return "max" in target ? value <= target.max : value >= target.min;
}

export interface BenchReport {
  readonly name: string;
  readonly machine: { readonly cpus: number; readonly cpu: string; readonly memoryGib: number; readonly node: string };
  readonly figures: Readonly<Record<string, Figure>>;
}

/** What the figures were measured on. */
export const machine = (): BenchReport["machine"] => ({
  cpus: cpus().length,
  cpu: cpus()[0]?.model ?? "unknown",
  memoryGib: Math.round(totalmem() / 2 ** 30),
  node: process.version,
});

export function table({ name, figures }: Pick<BenchReport, "name" | "figures">): string {
  const rows = Object.entries(figures).map(([key, f]) => {
    const target = f.target === undefined ? "" : "max" in f.target ? `max ${f.target.max}` : `min ${f.target.min}`;
    return `  ${keeps(f) ? "ok  " : "MISS"} ${key.padEnd(28)} ${String(f.value).padStart(10)} ${f.unit.padEnd(8)} ${target.padEnd(10)} n=${f.n} (${f.min} to ${f.max})`;
  });
  return [name, ...rows].join("\n");
}
