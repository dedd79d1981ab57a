import { Worker } from "node:worker_threads";
import { z } from "zod";

const seenSchema = z.object({ slowestMs: z.number(), hostMs: z.number(), answers: z.number(), failures: z.number() });
/** `hostMs`: the longest that a timer of the asking thread itself was late; a host with too much to do makes everybody wait. */
export type Pulse = z.infer<typeof seenSchema>;

const EVERY_MS = 100;

/** Takes the pulse of a worker's page until it is stopped. SIDE EFFECTS: a thread, requests. */
export function takePulse(url: string): { stop(): Promise<Pulse> } {
  const thread = new Worker(new URL("./pulse-thread.ts", import.meta.url), { workerData: { url, everyMs: EVERY_MS } });
  const seen = new Promise<Pulse>((resolve, reject) => {
    thread.once("message", (message) => resolve(seenSchema.parse(message)));
    thread.once("error", reject);
  });
  return {
    stop() {
      thread.postMessage("stop");
      return seen;
    },
  };
}
