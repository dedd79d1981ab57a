import { parentPort, workerData } from "node:worker_threads";
import { z } from "zod";

/** Asks the page again and again, in a thread of its own so that what it measures is the worker and not this process. */
const { url, everyMs } = z.object({ url: z.string(), everyMs: z.number() }).parse(workerData);
let slowestMs = 0;
let hostMs = 0;
let answers = 0;
let failures = 0;
let stopped = false;

parentPort?.on("message", () => {
  stopped = true;
});
while (!stopped) {
  const asked = performance.now();
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
    await response.arrayBuffer();
    if (response.ok) answers += 1;
    else failures += 1;
  } catch {
    failures += 1;
  }
  slowestMs = Math.max(slowestMs, performance.now() - asked);
  const asleep = performance.now();
  await new Promise((resolve) => setTimeout(resolve, everyMs));
  hostMs = Math.max(hostMs, performance.now() - asleep - everyMs);
}
parentPort?.postMessage({ slowestMs, hostMs, answers, failures });
parentPort?.close();
