import { createHash } from "node:crypto";
import type { Address } from "@iexec-ts/poco";
import { type Clock, CodedError, type HttpApp } from "@iexec-ts/service";
import type { JoinKey } from "./signing.ts";
import { fill, htmlSafe, shellSafe, template } from "./templates.ts";

/** What the pool tells those who want to join. */
export interface JoinOptions {
  /** Short name of the pool; the worker's container is called after it. */
  readonly poolName: string;
  readonly workerImage: string;
  /** nRLC a worker should have deposited. */
  readonly deposit: bigint;
  /** Wei a worker should have for gas. */
  readonly gas: bigint;
}

export interface JoinDeps {
  readonly options: JoinOptions;
  readonly workerpool: Address;
  readonly chainId: number;
  readonly key: JoinKey;
  readonly clock: Clock;
  /** How workers reach this scheduler, or undefined when nobody has said. */
  readonly publicUrl: () => string | undefined;
}

const NANO = 1_000_000_000n;
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cache-control": "no-cache",
};

const rlc = (amount: bigint): string => {
  const rest = (amount % NANO).toString().padStart(9, "0").replace(/0+$/, "");
  return `${amount / NANO}${rest === "" ? "" : `.${rest}`}`;
};

interface Rendered {
  readonly url: string;
  readonly script: Buffer;
  readonly sha256: string;
  readonly signature: Buffer;
  readonly page: string;
}

/** The script and its page for a pool. Exported for its tests. */
export function render(url: string, { options, workerpool, chainId, key }: Omit<JoinDeps, "publicUrl" | "clock">): Rendered {
  const values = {
    POOL: options.poolName,
    CORE_URL: url.replace(/\/+$/, ""),
    WORKERPOOL: workerpool,
    IMAGE: options.workerImage,
    DEPOSIT: options.deposit.toString(),
    GAS: options.gas.toString(),
  };
  const script = Buffer.from(fill(template("worker.sh"), values, shellSafe));
  const sha256 = createHash("sha256").update(script).digest("hex");
  const more = { ...values, SHA256: sha256, KEY: key.fingerprint, CHAIN_ID: String(chainId), DEPOSIT_RLC: rlc(options.deposit) };
  return { url, script, sha256, signature: key.sign(script), page: fill(template("page.html"), more, htmlSafe) };
}

/**
 * The page "Join Worker Pool", the script it leads to, its checksum and its signature.
 *
 * Errors: SCH-1304 while nobody has said how workers reach this scheduler.
 * SIDE EFFECTS: adds routes.
 * @source worker-guide.rst, Join-Workerpool script; compute.md 7.3
 */
export function registerJoin(app: HttpApp, deps: JoinDeps): void {
  let last: Rendered | undefined;
  const rendered = (): Rendered => {
    const url = deps.publicUrl();
    if (url === undefined) throw new CodedError("SCH-1304");
    if (last?.url !== url) last = render(url, deps);
    return last;
  };
  const routes: readonly (readonly [path: string, summary: string, type: string, body: () => string | Buffer])[] = [
    ["/join", "How to join this workerpool, for people", "text/html; charset=utf-8", () => rendered().page],
    ["/join/page.css", "Its looks", "text/css; charset=utf-8", () => template("page.css")],
    ["/join/worker.sh", "The script that joins this workerpool", "text/x-shellscript; charset=utf-8", () => rendered().script],
    [
      "/join/worker.sh.sha256",
      "Its SHA-256, as sha256sum -c reads it",
      "text/plain; charset=utf-8",
      () => `${rendered().sha256}  worker.sh\n`,
    ],
    ["/join/worker.sh.sig", "Its Ed25519 signature, 64 bytes", "application/octet-stream", () => rendered().signature],
    ["/join/key.pem", "The public key of the signature", "application/x-pem-file", () => deps.key.publicPem],
    // Whoever asks learns how far off the own clock is.
    [
      "/join/time",
      "This scheduler's time in seconds",
      "text/plain; charset=utf-8",
      () => `${Math.floor(deps.clock.now().getTime() / 1_000)}\n`,
    ],
  ];
  for (const [path, summary, type, body] of routes)
    app.get(path, { schema: { tags: ["join"], summary } }, (_, reply) => reply.headers(HEADERS).type(type).send(body()));
}
