import { CodedError, type HttpApp } from "@iexec-ts/service";
import { asset } from "./assets.ts";
import type { EventStreams } from "./event-stream.ts";
import { answersTo, PAGE_HEADERS } from "./headers.ts";
import type { LiveFacts, LiveFactsFeed } from "./live-facts.ts";
import type { Overview } from "./model.ts";

/** Open pages of one worker at a time. */
export const MAX_PAGES = 32;
/** A reader that only asks once takes facts of this age. */
const FRESH_MS = 2_000;

export interface PageParts {
  /** The address the page listens on. */
  readonly host: string;
  readonly feed: LiveFactsFeed;
  readonly streams: EventStreams;
  readonly overview: (facts: LiveFacts) => Overview;
}

/** Adds the page, its files, its facts and its events. Errors: WRK-1602, WRK-1603. */
export function addPageRoutes(app: HttpApp, { host, feed, streams, overview }: PageParts): void {
  app.addHook("onRequest", async (request, reply) => {
    reply.headers(PAGE_HEADERS);
    const name = request.headers.host;
    if (!answersTo(name, host)) throw new CodedError("WRK-1603", { host: (name ?? "").slice(0, 100) });
  });
  app.get("/", { schema: { hide: true } }, (_, reply) => {
    const page = asset("page/page.html");
    return page === undefined ? reply.callNotFound() : reply.type(page.type).send(page.body);
  });
  app.get<{ Params: { "*": string } }>("/assets/*", { schema: { hide: true } }, ({ params }, reply) => {
    const found = asset(params["*"]);
    return found === undefined ? reply.callNotFound() : reply.type(found.type).send(found.body);
  });
  app.get("/v1/overview", async () => overview(await feed.current(FRESH_MS)));
  app.get("/v1/events", { schema: { summary: "The same facts, each time they change (server-sent events)" } }, (_, reply) => {
    if (streams.isFull) throw new CodedError("WRK-1602", { most: MAX_PAGES });
    reply.hijack();
    streams.open(reply.raw, (send) => {
      let last = "";
      return feed.watch((facts) => {
        const { at, ...rest } = overview(facts);
        const text = JSON.stringify(rest);
        if (text !== last) send("overview", { at, ...rest });
        last = text;
      });
    });
  });
}
