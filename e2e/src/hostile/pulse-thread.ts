import { parentPort, workerData } from "node:worker_threads";
import { z } from "zod";

/**
 * Asks the page again and again, in a thread of its own so that what it measures is the worker and not this process; and beside it a server
 * that does nothing, to know what this host itself needs for an answer at that time.
 */
const { url, nothingUrl, everyMs } = z.object({ url: z.string(), nothingUrl: z.string(), everyMs: z.number() }).parse(workerData);
let slowestMs = 0;
let hostMs = 0;
let answers = 0;
let failures = 0;
let stopped = false;

parentPort?.on("message", () => {
  stopped = true;
});

async function ask(target: string): Promise<{ readonly ms: number; readonly ok: boolean }> {
  const asked = performance.now();
  try {
    const response = await fetch(target, { signal: AbortSignal.timeout(10_000) });
    await response.arrayBuffer();
    return { ms: performance.now() - asked, ok: response.ok };
  } catch {
    return { ms: performance.now() - asked, ok: false };
  }
}

while (!stopped) {
  const [page, nothing] = await Promise.all([ask(url), ask(nothingUrl)]);
  if (page.ok) answers += 1;
  else failures += 1;
  slowestMs = Math.max(slowestMs, page.ms);
  hostMs = Math.max(hostMs, nothing.ms);
  await new Promise((resolve) => setTimeout(resolve, everyMs));
}
parentPort?.postMessage({ slowestMs, hostMs, answers, failures });
parentPort?.close();
