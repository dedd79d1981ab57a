import { z } from "zod";
import { type Context, type Input, switchOption } from "../context.ts";
import { coinSymbol } from "../facts/chain-facts.ts";
import type { Report } from "../report.ts";
import { gwei } from "../view/amounts.ts";
import { confirmed } from "./confirm.ts";
import { ask, reach } from "./control.ts";
import { findTransaction } from "./tx.ts";

const actedSchema = z.object({
  id: z.string(),
  state: z.string(),
  nonce: z.number().nullable(),
  attempts: z.number(),
  hash: z.string().nullable(),
  maxFeePerGas: z.string().nullable(),
  was: z.string().nullable().optional(),
  loss: z.string().nullable().optional(),
});

const price = (text: string | null | undefined): string => (text === null || text === undefined ? "nothing yet" : gwei(BigInt(text)));

/**
 * Makes a transaction that waits to be mined dearer: the same nonce, within the cap.
 *
 * Errors: WRK-1512, WRK-1513, WRK-2011, CHN-3002 it is not on its way, CHN-3003 the cap or the wallet forbids it.
 * SIDE EFFECTS: the running worker sends.
 */
export async function txBump(context: Context, input: Input): Promise<Report> {
  const reached = await reach(context);
  const { intent } = findTransaction(reached.facts.journal?.transactions ?? [], input.args[0] ?? "");
  await confirmed(context, input, `Offer more for ${intent.id}?`);
  const seen = actedSchema.parse(await ask(context, reached, "tx-bump", { id: intent.id }, "tx bump"));
  return {
    data: { ...seen, was: seen.was ?? null, loss: null },
    text: (style) =>
      [
        `${style.mark("ok")} ${seen.id}: ${price(seen.was)} -> ${style.strong(price(seen.maxFeePerGas))} per gas, try ${seen.attempts}, nonce ${seen.nonce ?? "-"}`,
        `   sent as   ${seen.hash ?? "-"}`,
      ].join("\n"),
    next: [`iexec-worker tx show ${seen.id}`],
  };
}

/**
 * Takes a transaction back: one that was sent is replaced by a transfer of nothing to oneself, one that waits is dropped.
 *
 * Errors: WRK-1512, WRK-1513, WRK-1520 it is a reveal that is due, WRK-2011, CHN-3002, CHN-3003. SIDE EFFECTS: the running worker sends.
 */
export async function txCancel(context: Context, input: Input): Promise<Report> {
  const reached = await reach(context);
  const { intent } = findTransaction(reached.facts.journal?.transactions ?? [], input.args[0] ?? "");
  await confirmed(context, input, `Take ${intent.id} back?`);
  const seen = actedSchema.parse(
    await ask(context, reached, "tx-cancel", { id: intent.id, force: switchOption(input, "force") }, "tx cancel"),
  );
  const symbol = coinSymbol(reached.facts.journal?.network?.chainId ?? 0);
  return {
    data: { ...seen, was: null, loss: seen.loss ?? null },
    text: (style) =>
      [
        seen.nonce === null
          ? `${style.mark("ok")} ${seen.id}: waiting -> ${style.strong(seen.state)}, it was never sent`
          : `${style.mark("ok")} ${seen.id}: nonce ${seen.nonce} is being taken back with a transfer of 0 ${symbol} to yourself, ${price(seen.maxFeePerGas)} per gas`,
        ...(typeof seen.loss === "string" ? [`${style.mark("bad")} you forced it: ${seen.loss}`] : []),
      ].join("\n"),
    next: [`iexec-worker tx show ${seen.id}`],
  };
}
