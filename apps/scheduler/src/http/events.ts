import type { ServerResponse } from "node:http";
import { type Clock, createWatchdog, type HttpApp, type Watchdog } from "@iexec-ts/service";
import type { Signals } from "../store/signals.ts";

const MAX_LISTENERS = 1_000;
/** A reader that leaves this much unread is cut off. */
const MAX_UNREAD_BYTES = 1_024 * 1_024;
const BEAT_MS = 15_000;
const BOUND_MS = 60_000;

/**
 * GET /v1/events: every change of a status as it happens, as server-sent events named `status`. A reader that was cut off reads the lists
 * again; there is no replay.
 *
 * SIDE EFFECTS: adds a route; one timer until `close`.
 */
export function registerEvents(
  app: HttpApp,
  deps: { readonly signals: Signals; readonly clock: Clock; readonly watchdog?: Watchdog },
): { close(): void } {
  const { signals, clock, watchdog = createWatchdog({ clock }) } = deps;
  const readers = new Set<ServerResponse>();
  const closing = new AbortController();

  const send = (text: string): void => {
    for (const reader of readers) {
      if (reader.writableLength > MAX_UNREAD_BYTES) reader.destroy();
      else reader.write(text);
    }
  };
  // A reader behind a proxy, or one that has vanished, is noticed only when something is written to it.
  void watchdog.keep({ loop: "event readers", boundMs: BOUND_MS, signal: closing.signal }, async (pulse) => {
    while (!pulse.signal.aborted) {
      pulse.beat();
      await clock.sleep(BEAT_MS, pulse.signal).catch(() => undefined);
      if (!pulse.signal.aborted) send(": beat\n\n");
    }
  });
  const forget = signals.on("status", (text) => send(`event: status\ndata: ${text}\n\n`));

  app.get("/v1/events", { schema: { tags: ["pool"], summary: "Status changes as server-sent events" } }, (_, reply) => {
    if (readers.size >= MAX_LISTENERS || closing.signal.aborted) return reply.status(503).send();
    reply.hijack();
    const reader = reply.raw;
    reader.writeHead(200, {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
      "access-control-allow-origin": "*",
      "x-accel-buffering": "no",
    });
    reader.write(": hello\n\n");
    readers.add(reader);
    reader.once("close", () => readers.delete(reader));
    return reply;
  });

  return {
    close() {
      closing.abort();
      forget();
      // What it has not read by now it reads again from the lists; one that never reads would never end.
      for (const reader of readers) {
        if (reader.writableLength > 0) reader.destroy();
        else reader.end();
      }
    },
  };
}
