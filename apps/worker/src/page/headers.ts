import { isIP } from "node:net";

/** What every answer of the page says to the browser: nothing from elsewhere, nothing inline, in nobody's frame. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cache-control": "no-cache",
};

const hostOf = (header: string): string =>
  header
    .replace(/:\d+$/, "")
    .replace(/^\[|\]$/g, "")
    .toLowerCase();
const isLoopback = (host: string): boolean => host === "localhost" || host === "::1" || host.startsWith("127.");

/**
 * Whether a request that reached us under this host name may be answered. A page that listens on this machine only answers to an address or
 * to localhost: any other name was made to lead here, perhaps by a web site that wants to read it (DNS rebinding).
 */
export function answersTo(host: string | undefined, listening: string): boolean {
  if (!isLoopback(listening) || host === undefined) return true;
  const name = hostOf(host);
  return name === "localhost" || name.endsWith(".localhost") || isIP(name) !== 0;
}
