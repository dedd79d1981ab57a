import { createHmac, timingSafeEqual } from "node:crypto";
import { type Address, addressSchema } from "@iexec-ts/poco";
import { type Clock, CodedError, type Random } from "@iexec-ts/service";
import { z } from "zod";

const MAX_TOKEN_LENGTH = 2_048;
const header = z.object({ alg: z.literal("HS256") });
const claims = z.object({ aud: addressSchema, exp: z.number().int() });

export interface Tokens {
  /** A JWT for one wallet. */
  issue(wallet: Address): string;
  /** The wallet a token was issued to. Errors: PRX-1002. */
  verify(token: string | undefined): Address;
}

export interface TokensOptions {
  readonly key: string;
  readonly lifetimeMs: number;
}

/**
 * Upload tokens: JWTs signed with HS256, `aud` the wallet, `sub` random, `iat` and `exp` in seconds. Instances with one key accept each
 * other's. Unlike version 9's they expire.
 * @source reference/services.md 3.1
 */
export function createTokens({ key, lifetimeMs }: TokensOptions, deps: { readonly clock: Clock; readonly random: Random }): Tokens {
  const signature = (text: string): Buffer => createHmac("sha256", key).update(text).digest();
  const nowSeconds = (): number => Math.floor(deps.clock.now().getTime() / 1_000);
  return {
    issue: (wallet) => {
      const issued = nowSeconds();
      const subject = Buffer.from(deps.random.bytes(16)).toString("hex");
      const body = { aud: wallet.toLowerCase(), sub: subject, iat: issued, exp: issued + Math.floor(lifetimeMs / 1_000) };
      const text = `${encode({ alg: "HS256", typ: "JWT" })}.${encode(body)}`;
      return `${text}.${signature(text).toString("base64url")}`;
    },
    verify: (given) => {
      const token = given?.replace(/^Bearer /i, "") ?? "";
      const [head = "", body = "", mark = "", ...more] = token.split(".");
      const refuse = (reason: string): CodedError => new CodedError("PRX-1002", { reason });
      if (token === "") throw refuse("there is none");
      if (token.length > MAX_TOKEN_LENGTH || more.length > 0 || mark === "") throw refuse("it is not a JWT");
      const expected = signature(`${head}.${body}`);
      const actual = Buffer.from(mark, "base64url");
      if (actual.length !== expected.length || !timingSafeEqual(actual, expected)) throw refuse("its signature is not ours");
      const parsed = claims.safeParse(decode(body));
      if (!header.safeParse(decode(head)).success || !parsed.success) throw refuse("its claims are not ours");
      if (parsed.data.exp <= nowSeconds()) throw refuse("it has expired");
      return parsed.data.aud;
    },
  };
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function decode(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}
