import { fileURLToPath } from "node:url";
import { z } from "zod";
import { mustRun } from "./shell.ts";

const builtSchema = z.object({
  images: z.array(z.object({ name: z.string(), id: z.string(), bytes: z.number(), layers: z.array(z.string()), seconds: z.number() })),
});

export interface BuiltImage {
  readonly name: string;
  readonly id: string;
  readonly bytes: number;
  readonly layers: readonly string[];
}
export type BuiltImages = Readonly<Record<"worker" | "scheduler" | "result-proxy", BuiltImage>>;

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** SIDE EFFECTS: what `./run images` does, from the sources as they are. */
export async function buildImages(signal: AbortSignal, words: readonly string[] = []): Promise<BuiltImages> {
  const output = await mustRun([process.execPath, "tools/images.ts", "--json", ...words], signal, { cwd: ROOT });
  const { images } = builtSchema.parse(JSON.parse(output.split("\n").at(-1) ?? ""));
  const named = (program: string): BuiltImage => {
    const found = images.find(({ name }) => name.includes(`/${program}:`));
    if (found === undefined) throw new Error(`no image of ${program} was built`);
    return found;
  };
  return { worker: named("iexec-worker"), scheduler: named("iexec-scheduler"), "result-proxy": named("iexec-result-proxy") };
}
