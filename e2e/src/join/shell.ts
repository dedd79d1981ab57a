import { runOwned } from "@iexec-ts/testkit";

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  /** Both streams as they came. */
  readonly output: string;
  readonly seconds: number;
}

/** SIDE EFFECTS: runs a program to its end; the signal kills it. @param input - what it reads on standard input */
export async function run(
  line: readonly [string, ...string[]],
  signal: AbortSignal,
  options: { readonly env?: Readonly<Record<string, string>>; readonly cwd?: string; readonly input?: string } = {},
): Promise<Ran> {
  const [program, ...args] = line;
  const began = performance.now();
  const { code, stdout, output } = await runOwned(program, args, {
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/root", LANG: "C.UTF-8", ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    input: options.input ?? "",
    signal,
  });
  signal.throwIfAborted();
  return { code, stdout, output, seconds: Math.round((performance.now() - began) / 100) / 10 };
}

/** The same for a program that must succeed. @returns its standard output without the last line break */
export async function mustRun(
  line: readonly [string, ...string[]],
  signal: AbortSignal,
  options: Parameters<typeof run>[2] = {},
): Promise<string> {
  const { code, stdout, output } = await run(line, signal, options);
  if (code !== 0) throw new Error(`${line.slice(0, 3).join(" ")} ended with ${code}: ${output.slice(-600)}`);
  return stdout.trim();
}
