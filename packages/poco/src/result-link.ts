import { z } from "zod";
import { addressSchema, lowerHex } from "./hex.ts";
import type { Address } from "./structs.ts";

/** Where a finalized task's result is. */
export type ResultLink =
  | { readonly storage: "ipfs"; readonly location: `/ipfs/${string}`; readonly cid: string }
  | { readonly storage: "ethereum"; readonly callback: Address };

/** Longest link read from the chain or from a peer, in UTF-16 units. */
export const MAX_RESULT_LINK_LENGTH = 1024;

const CID_V0 = "Qm[1-9A-HJ-NP-Za-km-z]{44}";
const CID_V1 = "b[a-z2-7]{30,120}";
const IPFS_LOCATION = new RegExp(`^/ipfs/(${CID_V0}|${CID_V1})$`);
const IPFS_PATH = new RegExp(`^/(?:ipfs|p2p)/(${CID_V0}|${CID_V1})((?:/[^/\\0]+)*)/?$`);

/**
 * The CID of `/ipfs/<cid>`, or undefined for anything else.
 *
 * @source wire.md 1.6: the answer of a result proxy
 */
export function parseIpfsLocation(text: string): string | undefined {
  return text.length <= MAX_RESULT_LINK_LENGTH ? IPFS_LOCATION.exec(text)?.[1] : undefined;
}

/** CID and path below it of `/ipfs/<cid>[/<path>]`, or undefined. */
export function parseIpfsPath(text: string): { readonly cid: string; readonly path: string } | undefined {
  const match = IPFS_PATH.exec(text);
  const cid = match?.[1];
  return cid === undefined ? undefined : { cid, path: match?.[2] ?? "" };
}

/**
 * The text a result link has on chain and on the wire, spaces included.
 *
 * @source wire.md 6.6 (ResultService.buildResultLink)
 */
export function formatResultLink(link: { readonly cid: string } | { readonly callback: Address }): string {
  return "cid" in link
    ? `{ "storage": "ipfs", "location": "/ipfs/${link.cid}" }`
    : `{ "storage": "ethereum", "location": "${lowerHex(link.callback)}" }`;
}

const linkSchema = z.object({ storage: z.string().max(32), location: z.string().max(MAX_RESULT_LINK_LENGTH) });

/**
 * Reads a result link. Only `/ipfs/<cid>` and the address of a callback are taken: a link is shown to people and fetched by programs.
 *
 * @returns undefined for anything else
 * @source wire.md 6.6
 */
export function parseResultLink(text: string): ResultLink | undefined {
  if (text.length > MAX_RESULT_LINK_LENGTH) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const link = linkSchema.safeParse(value);
  if (!link.success) return undefined;
  if (link.data.storage === "ipfs") {
    const cid = parseIpfsLocation(link.data.location);
    return cid === undefined ? undefined : { storage: "ipfs", location: `/ipfs/${cid}`, cid };
  }
  const callback = link.data.storage === "ethereum" ? addressSchema.safeParse(link.data.location) : undefined;
  return callback?.success === true ? { storage: "ethereum", callback: callback.data } : undefined;
}
