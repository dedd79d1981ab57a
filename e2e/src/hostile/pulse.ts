import { createInterface } from "node:readline";
import { Worker } from "node:worker_threads";
import { spawnOwned } from "@iexec-ts/testkit";
import { z } from "zod";

const seenSchema = z.object({ slowestMs: z.number(), hostMs: z.number(), answers: z.number(), failures: z.number() });
/** `hostMs`: the slowest answer of a server that does nothing, over the same time; a host with too much to do makes everybody wait. */
export type Pulse = z.infer<typeof seenSchema>;

const EVERY_MS = 100;
const NOTHING = `
  const server = require("node:http").createServer((_, response) => response.end("{}"));
  server.listen(0, "127.0.0.1", () => console.log(server.address().port));
  process.stdin.on("end", () => process.exit(0)).resume();
`;

export interface DoingNothing {
  readonly url: string;
  close(): void;
}

/** A server that does nothing, in a process of its own, which ends with this one. SIDE EFFECTS: starts it. */
export async function serveNothing(): Promise<DoingNothing> {
  const child = spawnOwned(process.execPath, ["-e", NOTHING], { stdio: ["pipe", "pipe", "inherit"] });
  const { stdout } = child;
  if (stdout === null) throw new Error("the server that does nothing has no output");
  for await (const line of createInterface({ input: stdout }))
    return { url: `http://127.0.0.1:${line.trim()}/`, close: () => void child.kill() };
  throw new Error("the server that does nothing did not start");
}

/** Takes the pulse of a worker's page until it is stopped. SIDE EFFECTS: a thread, requests. */
export function takePulse(url: string, nothingUrl: string): { stop(): Promise<Pulse> } {
  const thread = new Worker(new URL("./pulse-thread.ts", import.meta.url), { workerData: { url, nothingUrl, everyMs: EVERY_MS } });
  const seen = new Promise<Pulse>((resolve, reject) => {
    thread.once("message", (message) => resolve(seenSchema.parse(message)));
    thread.once("error", reject);
  });
  seen.catch(() => undefined);
  return {
    stop() {
      thread.postMessage("stop");
      return seen;
    },
  };
}
