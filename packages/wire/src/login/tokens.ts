import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import type { Address } from "@iexec-ts/poco";
import { type Clock, CodedError } from "@iexec-ts/service";
import { z } from "zod";
import { addressSchema } from "../messages/primitives.ts";

/** @source wire.md 1.3.4 */
const TOKEN_LIFETIME_SECONDS = 3600;
/** A challenge is answered within one to two of these. */
const CHALLENGE_WINDOW_MS = 60_000;
/** Allowed difference between the clocks of two scheduler processes. */
const CLOCK_SKEW_SECONDS = 30;
const AUDIENCE = "iExec Scheduler";
const MAX_TOKEN_LENGTH = 1024;

const headerSchema = z.object({ alg: z.literal("HS256"), typ: z.literal("JWT").optional() });
const claimsSchema = z.object({ sub: addressSchema, aud: z.literal(AUDIENCE), iat: z.int(), exp: z.int() });

const segment = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");

function parseSegment(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, "base64url").toString("utf8"));
  } catch {
    return undefined;
  }
}

/**
 * Challenges and tokens derived from one secret: nothing is stored, so every scheduler process with the same key accepts what another issued,
 * and a restart logs nobody out. HS256 only; the header is checked, never obeyed.
 *
 * Without a store a challenge cannot be used up: a captured signature logs its own wallet in for two minutes at most.
 *
 * @source wire.md 1.3
 */
export class LoginTokens {
  readonly #challengeKey: Uint8Array;
  readonly #tokenKey: Uint8Array;
  readonly #clock: Clock;

  /** `loginKey`: at least 32 random bytes; shorter throws WIR-2002. */
  constructor(loginKey: Uint8Array, clock: Clock) {
    if (loginKey.length < 32) throw new CodedError("WIR-2002", { bytes: loginKey.length });
    const derive = (purpose: string) => new Uint8Array(hkdfSync("sha256", loginKey, "", `iexec-ts ${purpose}`, 32));
    this.#challengeKey = derive("login challenge");
    this.#tokenKey = derive("login token");
    this.#clock = clock;
  }

  /** The challenge this wallet has to sign now: 0x and 64 hex digits. */
  challenge(wallet: Address): string {
    return this.#challengeOf(wallet, this.#window());
  }

  /** Every challenge this wallet may be answering: the current one and the one before. */
  openChallenges(wallet: Address): readonly string[] {
    const now = this.#window();
    return [this.#challengeOf(wallet, now), this.#challengeOf(wallet, now - 1)];
  }

  issue(wallet: Address): string {
    const iat = this.#seconds();
    const content = `${segment({ alg: "HS256", typ: "JWT" })}.${segment({
      sub: wallet.toLowerCase(),
      aud: AUDIENCE,
      iat,
      exp: iat + TOKEN_LIFETIME_SECONDS,
    })}`;
    return `${content}.${this.#sign(content).toString("base64url")}`;
  }

  /** The wallet of a valid, unexpired token, in lower case; undefined for any other text. */
  verify(token: string): Address | undefined {
    if (token.length > MAX_TOKEN_LENGTH) return undefined;
    const [header, claims, signature, ...rest] = token.split(".");
    if (header === undefined || claims === undefined || signature === undefined || rest.length > 0) return undefined;
    const expected = this.#sign(`${header}.${claims}`);
    const given = Buffer.from(signature, "base64url");
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    if (!headerSchema.safeParse(parseSegment(header)).success) return undefined;
    const parsed = claimsSchema.safeParse(parseSegment(claims));
    if (!parsed.success) return undefined;
    const { sub, iat, exp } = parsed.data;
    const now = this.#seconds();
    return iat <= now + CLOCK_SKEW_SECONDS && now < exp && exp - iat <= TOKEN_LIFETIME_SECONDS ? sub : undefined;
  }

  #challengeOf(wallet: Address, window: number): string {
    return `0x${createHmac("sha256", this.#challengeKey).update(`${wallet.toLowerCase()} ${window}`).digest("hex")}`;
  }

  #sign(content: string): Buffer {
    return createHmac("sha256", this.#tokenKey).update(content).digest();
  }

  #window(): number {
    return Math.floor(this.#clock.now().getTime() / CHALLENGE_WINDOW_MS);
  }

  #seconds(): number {
    return Math.floor(this.#clock.now().getTime() / 1000);
  }
}
