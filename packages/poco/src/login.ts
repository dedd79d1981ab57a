import { type Hex, keccak256 } from "viem";
import { sameHex } from "./hex.ts";
import { rawSigner } from "./signature.ts";
import type { Address, Bytes32 } from "./structs.ts";
import { decodeWeb3jHex } from "./web3j-hex.ts";

/**
 * The 32 bytes that a worker signs, without any prefix, to log in to a v9 scheduler.
 *
 * @param challenge - the text of the challenge; base64 in the Java scheduler, decoded as if it were hex
 * @source wire.md 1.3 (SignatureUtils.hashAndSign)
 */
export function loginChallengeDigest(challenge: string): Bytes32 {
  return keccak256(decodeWeb3jHex(challenge));
}

/**
 * Whether `wallet` signed the login challenge. As in the Java scheduler v is ignored: 0, 1, 27, 28 and wrong ones all pass.
 *
 * @source wire.md 1.3
 */
export async function isLoginSignature(challenge: string, signature: Hex, wallet: Address): Promise<boolean> {
  if (!/^0x[0-9a-fA-F]{130}$/.test(signature)) return false;
  const digest = loginChallengeDigest(challenge);
  const body = signature.slice(0, -2);
  const signers = await Promise.all([rawSigner(digest, `0x${body.slice(2)}1b`), rawSigner(digest, `0x${body.slice(2)}1c`)]);
  return signers.some((signer) => signer !== undefined && sameHex(signer, wallet));
}
