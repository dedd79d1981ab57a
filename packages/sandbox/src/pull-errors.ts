import { CodedError, type ErrorCode } from "@iexec-ts/service";
import { shorten } from "./engine.ts";
import type { ImageReference } from "./reference.ts";

/*
 * The engine has no error codes for pulls: registry, transport and disk faults all arrive as text, most with status 500.
 * This table is the only place that reads such text. Order matters: the first match wins.
 */
const KINDS: readonly (readonly [ErrorCode, RegExp])[] = [
  ["SBX-1109", /toomanyrequests|too many requests|rate limit/i],
  ["SBX-1106", /no matching manifest|does not match the (?:specified|detected) platform|cannot be used on this platform/i],
  ["SBX-1105", /no space left on device|disk quota exceeded/i],
  ["SBX-1102", /unauthorized|no basic auth credentials|authentication required|incorrect username or password|denied/i],
  ["SBX-1101", /manifest unknown|not found|does not exist|name unknown/i],
  [
    "SBX-1103",
    /dial tcp|no such host|connection (?:refused|reset)|i\/o timeout|TLS handshake|x509|network is unreachable|no route to host|unexpected EOF|Client\.Timeout|server gave HTTP response|\b50[234]\b/i,
  ],
];

/** Names a failed pull. Codes: SBX-1101, 1102, 1103, 1105, 1106, 1109, else 1107. */
export function pullError(image: string, reference: ImageReference, wanted: string, text: string): CodedError {
  const code = KINDS.find(([, pattern]) => pattern.test(text))?.[0] ?? "SBX-1107";
  return new CodedError(code, { image, registry: reference.registry, wanted, reason: shorten(text) });
}
