import type { Overview } from "../model.ts";

/** `lost`: nothing was heard for a while; it is tried again without end. */
export type Connection = "loading" | "live" | "lost";

/** A stream that is silent for longer is dead: the worker sends a beat every 10 s. */
const SILENT_MS = 25_000;
const RETRY_MS = 3_000;

export interface Listener {
  overview(overview: Overview): void;
  /** The worker's time, with each beat. */
  beat(at: string): void;
  connection(state: Connection): void;
}

/** Follows the worker's events; reconnects by itself for ever. */
export function follow(listener: Listener): void {
  let heard = Date.now();
  let source: EventSource | undefined;
  const alive = () => {
    heard = Date.now();
    listener.connection("live");
  };
  const open = () => {
    source?.close();
    heard = Date.now();
    const opened = new EventSource("/v1/events");
    source = opened;
    opened.addEventListener("overview", ({ data }) => {
      alive();
      listener.overview(JSON.parse(data));
    });
    opened.addEventListener("beat", ({ data }) => {
      alive();
      listener.beat(JSON.parse(data).at);
    });
    opened.addEventListener("error", () => {
      listener.connection("lost");
      // The browser tries again by itself unless it was refused.
      if (opened.readyState === EventSource.CLOSED) setTimeout(() => opened === source && open(), RETRY_MS);
    });
  };
  open();
  setInterval(() => {
    if (Date.now() - heard < SILENT_MS) return;
    listener.connection("lost");
    open();
  }, RETRY_MS);
}
