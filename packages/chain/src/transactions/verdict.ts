import type { BroadcastRefusal, BroadcastResult } from "../api.ts";

/** `out`: some node has it. `unknown`: perhaps. Otherwise every node refused it, and the most telling reason. */
export type Verdict =
  | { readonly kind: "out" }
  | { readonly kind: "unknown" }
  | { readonly kind: BroadcastRefusal; readonly message: string };

/** What says most about the state of the chain or of the wallet comes first. */
const ORDER: readonly BroadcastRefusal[] = [
  "nonce-too-low",
  "insufficient-funds",
  "fee-below-base",
  "underpriced",
  "intrinsic-gas",
  "other",
];

/** One conclusion from what all nodes said to a raw transaction. */
export function verdictOf(result: BroadcastResult): Verdict {
  if (result.accepted + result.known > 0) return { kind: "out" };
  if (result.unknown > 0 || result.refusals.length === 0) return { kind: "unknown" };
  for (const kind of ORDER) {
    const refusal = result.refusals.find((one) => one.kind === kind);
    if (refusal !== undefined) return { kind, message: refusal.message };
  }
  return { kind: "unknown" };
}
