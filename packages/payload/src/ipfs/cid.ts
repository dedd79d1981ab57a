import { CodedError } from "@iexec-ts/service";
import { CID } from "multiformats/cid";

const DAG_PB = 0x70;
const RAW = 0x55;
const SHA2_256 = 0x12;

/** Parses a CID of the kinds this store holds: dag-pb or raw, sha2-256. Errors: PAY-1301. */
export function parseCid(text: string): CID {
  const cid = tryParse(text);
  const known =
    cid !== undefined && (cid.code === DAG_PB || cid.code === RAW) && cid.multihash.code === SHA2_256 && cid.multihash.size === 32;
  if (!known) throw new CodedError("PAY-1301", { cid: text.slice(0, 100) });
  return cid;
}

function tryParse(text: string): CID | undefined {
  if (text.length > 128 || !/^[A-Za-z0-9]+$/.test(text)) return undefined;
  try {
    return CID.parse(text);
  } catch {
    return undefined;
  }
}

export const isDagPb = (cid: CID): boolean => cid.code === DAG_PB;
