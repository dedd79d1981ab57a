import { lookForTee } from "../../tee/sight.ts";
import { sgxSteps, type TeeStep, tdxStep, tdxUsable, teeSummary } from "../../tee/steps.ts";
import type { OperatorSettings } from "../settings.ts";
import { type Check, failed, info, pass } from "./check.ts";

/**
 * Trusted execution: one line for whoever did not ask for it, else the way from the CPU over BIOS and driver to the device, of which the first
 * step that fails is the one to mend.
 *
 * @param root - where the host's `/proc`, `/dev` and `/sys` are
 */
export async function teeChecks(
  { sgxDriverMode: mode, tdx }: Pick<OperatorSettings, "sgxDriverMode" | "tdx">,
  root?: string,
): Promise<readonly Check[]> {
  const sight = await lookForTee(root);
  const asked: readonly TeeStep[] = [...(mode === "NONE" ? [] : sgxSteps(sight, mode)), ...(tdx ? [tdxStep(sight)] : [])];
  if (asked.length === 0) {
    const use = [
      ...(sight.sgx.enclave === undefined ? [] : ["to use SGX set IEXEC_WORKER_SGX_DRIVER_MODE=NATIVE"]),
      ...(sight.sgx.isgx === undefined ? [] : ["to use SGX set IEXEC_WORKER_SGX_DRIVER_MODE=LEGACY"]),
      ...(tdxUsable(sight) ? ["to use TDX set IEXEC_WORKER_TDX_ENABLED=true"] : []),
    ];
    const seen = [teeSummary(sight), ...(use.length === 0 ? ["tasks without TEE need neither"] : use)].join("; ");
    return [{ id: "tee", title: "SGX / TDX", run: async () => info(seen) }];
  }
  const before = (id: TeeStep["id"]) =>
    asked
      .slice(
        0,
        asked.findIndex((step) => step.id === id),
      )
      .filter((step) => sameKind(step.id, id));
  return asked.map(({ id, title, ok, seen, fix }) => ({
    id,
    title,
    after: before(id).map((step) => step.id),
    run: async () => (ok ? pass(seen) : failed(seen, fix ?? "", "without it the worker takes no such TEE tasks (WRK-1601)")),
  }));
}

const sameKind = (one: string, other: string): boolean => one.slice(0, 3) === other.slice(0, 3);
