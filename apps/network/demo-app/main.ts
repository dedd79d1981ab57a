import { renderTask } from "./app.ts";

process.exitCode = await renderTask(process.argv.slice(2), process.env, {
  out: (line) => process.stdout.write(`${line}\n`),
  error: (line) => process.stderr.write(`${line}\n`),
});
