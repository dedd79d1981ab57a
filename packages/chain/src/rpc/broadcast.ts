import type { Clock } from "@iexec-ts/service";
import type { Hex } from "viem";
import type { BroadcastRefusal, BroadcastResult } from "../api.ts";
import type { Endpoint } from "./endpoint.ts";
import { classifyBroadcast } from "./node-texts.ts";
import { faultOf } from "./rpc-fault.ts";

/** How long the slower nodes may take once one has accepted; what they say can no longer change much. */
const GRACE_MS = 100;

type Verdict = "accepted" | "known" | { readonly kind: BroadcastRefusal; readonly message: string } | "unknown";

/**
 * Sends a raw transaction to all of `endpoints` at once.
 *
 * Resolves when every usable node has answered, or a moment after the first has accepted. Nodes that have not answered by then count as
 * unknown: they may or may not have it.
 */
export async function broadcastTo(
  endpoints: readonly Endpoint[],
  raw: Hex,
  deps: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<BroadcastResult> {
  const verdicts = new Map<Endpoint, Verdict>();
  const grace = new AbortController();
  const inTime = new Promise<void>((resolve) => {
    const afterGrace = () => {
      resolve();
    };
    const look = (verdict: Verdict) => {
      if (verdict === "accepted" || verdict === "known") deps.clock.sleep(GRACE_MS, grace.signal).then(afterGrace, afterGrace);
      if (endpoints.every((endpoint) => verdicts.has(endpoint) || !endpoint.usable)) resolve();
    };
    for (const endpoint of endpoints) {
      void sendTo(endpoint, raw, deps.signal).then((verdict) => {
        verdicts.set(endpoint, verdict);
        look(verdict);
      });
    }
    if (endpoints.length === 0) resolve();
  });
  await inTime;
  grace.abort();
  return summary(endpoints, verdicts);
}

async function sendTo(endpoint: Endpoint, raw: Hex, signal: AbortSignal): Promise<Verdict> {
  try {
    await endpoint.call("eth_sendRawTransaction", [raw], signal);
    return "accepted";
  } catch (error) {
    const fault = faultOf(error);
    if (fault === undefined) return "unknown";
    const kind = classifyBroadcast(fault);
    if (kind === "known") return "known";
    return kind === "unclear" ? "unknown" : { kind, message: fault.message };
  }
}

function summary(endpoints: readonly Endpoint[], verdicts: ReadonlyMap<Endpoint, Verdict>): BroadcastResult {
  const count = (wanted: Verdict) => endpoints.filter((endpoint) => (verdicts.get(endpoint) ?? "unknown") === wanted).length;
  const refusals = endpoints.flatMap((endpoint) => {
    const verdict = verdicts.get(endpoint);
    return typeof verdict === "object" ? [{ url: endpoint.name, kind: verdict.kind, message: verdict.message }] : [];
  });
  return { accepted: count("accepted"), known: count("known"), refusals, unknown: count("unknown") };
}
