#!/usr/bin/env node
import { setFlagsFromString } from "node:v8";

/**
 * The space for new objects stays small, and garbage is collected before there is much of it: with the engine's own settings forty
 * tasks a minute take 400 MiB, of which 50 are in use. Set before the modules are loaded, which otherwise makes that space grow at once.
 */
for (const flag of ["--semi-space-growth-factor=1", "--optimize-for-size"]) setFlagsFromString(flag);

const { runScheduler } = await import("./main.ts");
const { endProcess } = await import("@iexec-ts/service");
const output = { out: (text: string) => void process.stdout.write(text), err: (text: string) => void process.stderr.write(text) };
// What was cut short when its time was over may still hold the process.
endProcess(await runScheduler(process.argv.slice(2), process.env, output));
