import { readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";

/** Set by the bundler: the files of the page, the browser's program as one. */
declare const PAGE_ASSETS: Readonly<Record<string, string>> | undefined;

export interface Asset {
  readonly type: string;
  readonly body: string;
}

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  ts: "text/javascript; charset=utf-8",
};

/** What a browser may ask for, below the source folder; nothing else is read from there. */
const FROM_SOURCE: ReadonlySet<string> = new Set([
  "page/page.html",
  "page/page.css",
  "page/icon.svg",
  "page/client/main.ts",
  "page/client/dom.ts",
  "page/client/feed.ts",
  "page/client/panels.ts",
  "page/client/task.ts",
  "cli/view/time.ts",
]);

const read = new Map<string, Asset>();

/** One file of the page, by its path below `src`: from the bundle, or from the source with its types taken away. */
export function asset(path: string): Asset | undefined {
  const known = read.get(path);
  if (known !== undefined) return known;
  const body = typeof PAGE_ASSETS === "undefined" ? fromSource(path) : PAGE_ASSETS[path];
  if (body === undefined) return undefined;
  const found = { type: TYPES[path.slice(path.lastIndexOf(".") + 1)] ?? "application/octet-stream", body };
  read.set(path, found);
  return found;
}

function fromSource(path: string): string | undefined {
  if (!FROM_SOURCE.has(path)) return undefined;
  const text = readFileSync(new URL(`../${path}`, import.meta.url), "utf8");
  return path.endsWith(".ts") ? stripTypeScriptTypes(text) : text;
}
