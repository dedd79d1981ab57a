import { createHmac } from "node:crypto";
import { type Address, lowerHex, rawSigner } from "@iexec-ts/poco";
import type { Clock } from "@iexec-ts/service";
import { type Hex, hashTypedData } from "viem";

const HALF_LIFE_MS = 30 * 60_000;
const DOMAIN = "iExec Core";
const TYPES = {
  EIP712Domain: [
    { name: "name", type: "string" },
    { name: "version", type: "string" },
    { name: "chainId", type: "uint256" },
  ],
  Challenge: [{ name: "challenge", type: "string" }],
} as const;

/** The document that proves who reads logs. @source wire.md 1.5 */
export function challengeDocument(challenge: string, chainId: number) {
  return { types: TYPES, primaryType: "Challenge", domain: { name: DOMAIN, version: "1", chainId }, message: { challenge } } as const;
}

/** The 32 bytes that are signed for a challenge. */
export const challengeHash = (challenge: string, chainId: number): Hex =>
  hashTypedData({
    types: TYPES,
    primaryType: "Challenge",
    domain: { name: DOMAIN, version: "1", chainId: BigInt(chainId) },
    message: { challenge },
  });

export interface LogAccess {
  challenge(address: Address): string;
  /** Who sent this header (`<hash>_<signature>_<address>`), once the signature is checked; undefined when it has another form or is not theirs. */
  readerOf(header: string): { readonly claimed: Address; isProved(): Promise<boolean> } | undefined;
}

const HEADER = /^(0x[0-9a-fA-F]{64})_(0x[0-9a-fA-F]{128,130})_(0x[0-9a-fA-F]{40})$/;

/**
 * Challenges without memory: each is derived from the key, the address and the half hour, so every process of the pool knows it and it is
 * valid between 30 and 60 minutes.
 *
 * @source wire.md 1.5
 */
export function createLogAccess(key: Uint8Array, chainId: number, clock: Clock): LogAccess {
  const derive = (address: Address, slot: number): string => {
    for (let salt = 0; ; salt += 1) {
      const text = createHmac("sha256", key)
        .update(`logs:${lowerHex(address)}:${slot}:${salt}`)
        .digest("base64");
      // A Java server would take a text that begins with 0x for a number.
      if (!text.startsWith("0x")) return text;
    }
  };
  const slot = (): number => Math.floor(clock.now().getTime() / HALF_LIFE_MS);
  return {
    challenge: (address) => derive(address, slot()),
    readerOf(header) {
      const [, , signature, address] = HEADER.exec(header) ?? [];
      if (signature === undefined || address === undefined) return undefined;
      const claimed = lowerHex(`0x${address.slice(2)}`);
      return {
        claimed,
        async isProved() {
          const now = slot();
          for (const challenge of [derive(claimed, now), derive(claimed, now - 1)]) {
            if ((await rawSigner(challengeHash(challenge, chainId), `0x${signature.slice(2)}`)) === claimed) return true;
          }
          return false;
        },
      };
    },
  };
}
