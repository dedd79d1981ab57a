import { type Hex, hashMessage, recoverAddress } from "viem";
import { lowerHex } from "./hex.ts";
import type { Address, Bytes32 } from "./structs.ts";

const HALF_ORDER = 0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0n;
const COMPACT_S = (1n << 255n) - 1n;

interface Parts {
  readonly r: Hex;
  readonly s: bigint;
  readonly yParity: number;
}

function parse(signature: Hex): Parts | undefined {
  if (!/^0x[0-9a-fA-F]+$/.test(signature)) return undefined;
  const r: Hex = `0x${signature.slice(2, 66)}`;
  const second = () => BigInt(`0x${signature.slice(66, 130)}`);
  if (signature.length === 132) {
    const v = Number.parseInt(signature.slice(130), 16);
    return v === 27 || v === 28 ? { r, s: second(), yParity: v - 27 } : undefined;
  }
  if (signature.length === 130) {
    const packed = second();
    return { r, s: packed & COMPACT_S, yParity: Number(packed >> 255n) };
  }
  return undefined;
}

/**
 * Who signed these 32 bytes as they are, lower-case, or undefined when the contracts would not accept the signature's form: 65 bytes with
 * v 27 or 28, or 64 bytes (EIP-2098), low s in both.
 *
 * @source chain.md 5.1
 */
export async function rawSigner(hash: Bytes32, signature: Hex): Promise<Address | undefined> {
  const parts = parse(signature);
  if (parts === undefined || parts.s > HALF_ORDER || parts.s === 0n) return undefined;
  try {
    const s: Hex = `0x${parts.s.toString(16).padStart(64, "0")}`;
    return lowerHex(await recoverAddress({ hash, signature: { r: parts.r, s, yParity: parts.yParity } }));
  } catch {
    // No curve point has this r: nobody signed it.
    return undefined;
  }
}

/**
 * Who signed these 32 bytes with the EIP-191 prefix, lower-case, or undefined as for `rawSigner`.
 *
 * @source chain.md 5: keccak256("\x19Ethereum Signed Message:\n32", hash)
 */
export function personalSigner(hash: Bytes32, signature: Hex): Promise<Address | undefined> {
  return rawSigner(hashMessage({ raw: hash }), signature);
}
