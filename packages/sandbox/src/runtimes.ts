import { CodedError } from "@iexec-ts/service";
import type { EngineInfo } from "./engine-schemas.ts";

export type WantedRuntime = "auto" | "runc" | "runsc";

/** gVisor under whatever name the operator registered it: `runsc`, `runsc-hostnet`. */
export const isGvisor = (runtime: string): boolean => runtime.startsWith("runsc");

export interface ChosenRuntimes {
  /** For runs without a network. */
  readonly none: string;
  /** For runs with one; undefined when gVisor was asked for and cannot give one. */
  readonly isolated: string | undefined;
}

/**
 * Which runtime runs what.
 *
 * A gVisor that is registered with `--network=none` shows its apps no network whatever the engine plugs in, so an app that may use one
 * needs another registration: gVisor with its own network stack, or with `--network=host`, which uses the container's own network namespace
 * and therefore the same firewall rules. When there is none, `auto` runs such apps with the engine's default runtime, and `runsc` refuses.
 *
 * @param broken - runtimes that could not run a probe; `auto` leaves them out
 * Errors: SBX-1005.
 */
export function chooseRuntimes(
  wanted: WantedRuntime,
  { Runtimes, DefaultRuntime }: Pick<EngineInfo, "Runtimes" | "DefaultRuntime">,
  broken: ReadonlySet<string> = new Set(),
): ChosenRuntimes {
  const runtimes = Runtimes ?? {};
  const names = Object.keys(runtimes).filter((name) => wanted !== "auto" || !broken.has(name));
  if (wanted !== "auto" && !(wanted in runtimes)) throw new CodedError("SBX-1005", { runtime: wanted });
  if (wanted === "runc") return { none: "runc", isolated: "runc" };
  const networked = names
    .filter((name) => isGvisor(name) && !(runtimes[name]?.runtimeArgs ?? []).includes("--network=none"))
    .sort((a, b) => a.length - b.length)[0];
  if (wanted === "runsc") return { none: "runsc", isolated: networked };
  const fallback = isGvisor(DefaultRuntime) ? "runc" : DefaultRuntime;
  return { none: names.includes("runsc") ? "runsc" : fallback, isolated: networked ?? fallback };
}
