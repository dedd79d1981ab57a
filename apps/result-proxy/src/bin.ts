#!/usr/bin/env node
import { endProcess } from "@iexec-ts/service";
import { runResultProxy } from "./main.ts";

const output = { out: (text: string) => void process.stdout.write(text), err: (text: string) => void process.stderr.write(text) };
// What was cut short when its time was over may still hold the process.
endProcess(await runResultProxy(process.argv.slice(2), process.env, output));
