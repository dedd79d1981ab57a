import { type Hex, parseDatasetUri, parseIpfsPath } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";

/**
 * The address of a dataset, from its `multiaddr` bytes on chain, as `downloadDataset` takes it: `/ipfs/<cid>[/path]` or an http(s) URL.
 * Errors: PAY-1101.
 * @source reference/compute.md 3.1
 */
export function datasetUriOf(multiaddr: Hex): string {
  const uri = parseDatasetUri(multiaddr);
  if (uri === undefined) throw new CodedError("PAY-1101", { url: multiaddr.slice(0, 100), reason: "not an http(s) URL or an /ipfs/ path" });
  return uri.kind === "url" ? uri.url : `/ipfs/${uri.cid}${uri.path}`;
}

/** URL without user, password, query and fragment: safe for logs. */
export function printableUrl(text: string): string {
  if (!URL.canParse(text)) return text.slice(0, 100);
  const url = new URL(text);
  return `${url.protocol}//${url.host}${url.pathname}`.slice(0, 300);
}

/**
 * Where a URI can be downloaded, in order: `/ipfs/...` once per gateway, everything else as it is.
 * Errors: PAY-1101, PAY-1110.
 */
export function downloadCandidates(uri: string, gateways: readonly string[]): readonly string[] {
  if (!uri.startsWith("/")) return [checkedUrl(uri).href];
  const ipfs = parseIpfsPath(uri);
  if (ipfs === undefined || /[?#\\]/.test(ipfs.path) || ipfs.path.split("/").some((part) => part === ".." || part === ".")) {
    throw new CodedError("PAY-1101", { url: uri.slice(0, 100), reason: "not an /ipfs/ path" });
  }
  if (gateways.length === 0) throw new CodedError("PAY-1110", { uri });
  return gateways.map((gateway) => checkedUrl(`${gateway.replace(/\/+$/, "")}/ipfs/${ipfs.cid}${ipfs.path}`).href);
}

/** Parses an http or https URL. Errors: PAY-1101. */
export function checkedUrl(text: string, base?: string): URL {
  if (!URL.canParse(text, base)) throw new CodedError("PAY-1101", { url: printableUrl(text), reason: "not a URL" });
  const url = new URL(text, base);
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new CodedError("PAY-1101", { url: printableUrl(text), reason: "only http and https are allowed" });
  }
  return url;
}
