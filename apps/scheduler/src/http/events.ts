import type { ServerResponse } from "node:http";
import type { Clock, HttpApp } from "@iexec-ts/service";
import type { Signals } from "../store/signals.ts";

const MAX_LISTENERS = 1_000;
/** A reader that leaves this much unread is cut off. */
const MAX_UNREAD_BYTES = 1_024 * 1_024;
const BEAT_MS = 15_000;

/**
 * GET /v1/events: every change of a status as it happens, as server-sent events named `status`. A reader that was cut off reads the lists
 * again; there is no replay.
 *
 * SIDE EFFECTS: adds a route; one timer while anybody listens.
 */
export function registerEvents(app: HttpApp, signals: Signals, clock: Clock): { close(): void } {
  const readers = new Set<ServerResponse>();
  const closing = new AbortController();
  let beating = false;

  const send = (text: string): void => {
    for (const reader of readers) {
      if (reader.writableLength > MAX_UNREAD_BYTES) reader.destroy();
      else reader.write(text);
    }
  };
  const beat = async (): Promise<void> => {
    if (beating) return;
    beating = true;
    while (readers.size > 0 && !closing.signal.aborted) {
      await clock.sleep(BEAT_MS, closing.signal).catch(() => undefined);
      send(": beat\n\n");
    }
    beating = false;
  };
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
    void beat();
    return reply;
  });

  return {
    close() {
      closing.abort();
      forget();
      for (const reader of readers) reader.end();
    },
  };
}
