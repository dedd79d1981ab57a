#!/usr/bin/env node
import { crashAt } from "./crash-point.ts";

const argv = process.argv.slice(2);
const [command, ...rest] = argv;
const output = { out: (text: string) => void process.stdout.write(text), err: (text: string) => void process.stderr.write(text) };
/** Flags without a command start the worker, as they always did; each way loads only what it needs. */
const starts = command === "start" || (command?.startsWith("-") === true && !["-h", "--help", "--json", "--no-input"].includes(command));
if (starts) {
  const { runWorker } = await import("./main.ts");
  process.exitCode = await runWorker(command === "start" ? rest : argv, process.env, output, crashAt(process.env.IEXEC_TEST_CRASH_AT));
} else {
  const { operate } = await import("./cli/operate.ts");
  process.exitCode = await operate(argv);
}
