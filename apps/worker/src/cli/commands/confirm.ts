import { CodedError } from "@iexec-ts/service";
import { type Context, type Input, switchOption } from "../context.ts";

/** Asks for `yes` unless --yes is given. Errors: WRK-2002 nobody to ask, WRK-2004 something else was typed. */
export async function confirmed({ prompt }: Pick<Context, "prompt">, input: Input, question: string): Promise<void> {
  if (switchOption(input, "yes")) return;
  const typed = await prompt.ask(`${question} Type yes:`, "--yes");
  if (typed !== "yes") throw new CodedError("WRK-2004", { what: "yes was not typed" });
}
