import { loginChallengeDigest } from "@iexec-ts/poco";
import { CodedError, openScope, orAborted } from "@iexec-ts/service";
import type { PrivateKeyAccount } from "viem";
import { expectSuccess, type HttpAnswer, type HttpClient, type HttpRequest } from "./http.ts";

/** A little more than its two exchanges may take. */
const LOGIN_WITHIN_MS = 45_000;
const MAX_TOKEN_BYTES = 8 * 1024;

/**
 * The worker's identity at its scheduler. A token that is refused is replaced silently: one login at a time, whoever asks.
 *
 * @source wire.md 1.3, 9.1.7
 */
export class Session {
  readonly #http: HttpClient;
  readonly #account: PrivateKeyAccount;
  readonly #wallet: string;
  readonly #closing: AbortSignal;
  #token: string | undefined;
  #login: Promise<string> | undefined;

  constructor(http: HttpClient, account: PrivateKeyAccount, closing: AbortSignal) {
    this.#http = http;
    this.#account = account;
    this.#wallet = account.address.toLowerCase();
    this.#closing = closing;
  }

  /**
   * Sends with our token, once more after a new login when it is refused; any other status is the caller's.
   * Errors: WIR-1101 the scheduler does not let us in, WIR-1102 a new token is refused too; those of HttpClient.send.
   */
  async call(request: HttpRequest): Promise<HttpAnswer> {
    using scope = openScope([request.signal, this.#closing]);
    const { signal } = scope;
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const token = this.#token ?? (await this.login(signal));
      const answer = await this.#http.send({ ...request, signal, authorization: `Bearer ${token}` });
      if (answer.status !== 401) return answer;
      if (this.#token === token) this.#token = undefined;
    }
    throw new CodedError("WIR-1102", { url: this.#http.urlOf("") });
  }

  /** One caller that gives up does not stop the login the others wait for. */
  async login(signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    this.#login ??= this.#logInSoon().finally(() => {
      this.#login = undefined;
    });
    return await orAborted(this.#login, signal);
  }

  /** A login that hangs, in whatever it is, makes room for the next one. */
  async #logInSoon(): Promise<string> {
    const late = (): CodedError => new CodedError("WIR-1001", { url: this.#http.urlOf("/workers/login"), reason: "no answer in time" });
    using scope = openScope([this.#closing], { ms: LOGIN_WITHIN_MS, reason: late });
    return await orAborted(this.#logIn(scope.signal), scope.signal);
  }

  async #logIn(signal: AbortSignal): Promise<string> {
    const query = { walletAddress: this.#wallet };
    const challenge = this.#admitted(await this.#http.send({ path: "/workers/challenge", query, signal }));
    const value = await this.#account.sign({ hash: loginChallengeDigest(challenge.text) });
    const token = this.#admitted(
      await this.#http.send({ method: "POST", path: "/workers/login", query, body: { value }, maxBytes: MAX_TOKEN_BYTES, signal }),
    );
    if (!/^[\x21-\x7e]+$/.test(token.text)) throw new CodedError("WIR-1003", { url: token.url, reason: "not a token" });
    signal.throwIfAborted();
    this.#token = token.text;
    return token.text;
  }

  #admitted(answer: HttpAnswer): HttpAnswer {
    if (answer.status === 401 || answer.status === 403)
      throw new CodedError("WIR-1101", { url: this.#http.urlOf(""), wallet: this.#wallet });
    return expectSuccess(answer);
  }
}
