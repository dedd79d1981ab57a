import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Address } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { onTestFinished } from "vitest";
import type { OutputExtras, OutputLimits } from "../api.ts";
import { sealOutput } from "../output/seal-output.ts";

export const NO_CALLBACK: Address = "0x0000000000000000000000000000000000000000";
export const CALLBACK: Address = "0x00000000000000000000000000000000000000cb";
export const never = new AbortController().signal;

export const LIMITS: OutputLimits = {
  entries: 100,
  depth: 8,
  pathBytes: 256,
  fileBytes: 1_000_000,
  totalBytes: 2_000_000,
  computedJsonBytes: 65_536,
  callbackBytes: 1_024,
};

/** A fresh folder that is removed when the running test, or `onEnd`'s scope, ends. */
export async function freshFolder(onEnd: (clean: () => Promise<void>) => void = onTestFinished): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "payload-"));
  onEnd(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A fresh folder with an output tree in it. */
export async function makeTree(
  files: Readonly<Record<string, string | Buffer>>,
): Promise<{ readonly root: string; readonly outDir: string }> {
  const root = await freshFolder();
  const outDir = join(root, "iexec_out");
  await mkdir(outDir);
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(outDir, name)), { recursive: true });
    await writeFile(join(outDir, name), content);
  }
  return { root, outDir };
}

export const computed = (path: string): { readonly "computed.json": string } => ({
  "computed.json": JSON.stringify({ "deterministic-output-path": path }),
});

export const seal = (
  tree: { readonly root: string; readonly outDir: string },
  options: { readonly callback?: Address; readonly limits?: Partial<OutputLimits>; readonly extras?: Partial<OutputExtras> } = {},
): ReturnType<typeof sealOutput> =>
  sealOutput(
    {
      outDir: tree.outDir,
      zipPath: join(tree.root, "iexec_out.zip"),
      callback: options.callback ?? NO_CALLBACK,
      limits: { ...LIMITS, ...options.limits },
      extras: { stdout: undefined, stderr: undefined, ...options.extras },
    },
    never,
  );

/** The code something failed with. */
export const codeOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "no error",
    (thrown: unknown) => (thrown instanceof CodedError ? thrown.code : `not coded: ${String(thrown)}`),
  );
