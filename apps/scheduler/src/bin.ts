#!/usr/bin/env node
import { runScheduler } from "./main.ts";

const output = { out: (text: string) => void process.stdout.write(text), err: (text: string) => void process.stderr.write(text) };
process.exitCode = await runScheduler(process.argv.slice(2), process.env, output);
// What was cut short when its time was over may still hold the process.
process.stdout.write("", () => process.exit());
