#!/usr/bin/env node
import { setFlagsFromString } from "node:v8";
import { crashAt } from "./crash-point.ts";

/**
 * On a host that was lent, memory counts for more than speed. The space for new objects stays small (by default it grows to 128 MiB, most of
 * it garbage), the engine prefers small code and heaps, and the HTTP parser is not optimized: that takes 12 MiB, for headers.
 */
for (const flag of ["--semi-space-growth-factor=1", "--optimize-for-size", "--no-wasm-tier-up", "--no-wasm-dynamic-tiering"])
  setFlagsFromString(flag);

const argv = process.argv.slice(2);
const [command, ...rest] = argv;
const output = { out: (text: string) => void process.stdout.write(text), err: (text: string) => void process.stderr.write(text) };
/** Flags without a command start the worker, as they always did; each way loads only what it needs. */
const starts = command === "start" || (command?.startsWith("-") === true && !["-h", "--help", "--json", "--no-input"].includes(command));
if (starts && argv.includes("--detach")) {
  const { startDetached } = await import("./control/detach.ts");
  process.exitCode = await startDetached(
    (command === "start" ? rest : argv).filter((word) => word !== "--detach"),
    process.env,
    output,
  );
} else if (starts) {
  const { runWorker } = await import("./main.ts");
  const { endProcess } = await import("@iexec-ts/service");
  // What was cut short when its time was over may still hold the process.
  endProcess(await runWorker(command === "start" ? rest : argv, process.env, output, crashAt(process.env.IEXEC_TEST_CRASH_AT)));
} else {
  const { operate } = await import("./cli/operate.ts");
  process.exitCode = await operate(argv);
}
