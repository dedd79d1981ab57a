#!/usr/bin/env node
import { crashAt } from "./crash-point.ts";
import { runWorker } from "./main.ts";

const [command = "start", ...rest] = process.argv.slice(2);
const argv = command.startsWith("-") ? process.argv.slice(2) : rest;
const output = { out: (text: string) => void process.stdout.write(text), err: (text: string) => void process.stderr.write(text) };
if (command === "start" || command.startsWith("-")) {
  process.exitCode = await runWorker(argv, process.env, output, crashAt(process.env.IEXEC_TEST_CRASH_AT));
} else {
  output.err(`iexec-worker: there is no command ${command}. Try: iexec-worker start --help\n`);
  process.exitCode = 2;
}
