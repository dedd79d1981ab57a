import { type Address, addressSchema, type TaskId, web2SecretChallenge } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import { type Hex, keccak256, type PrivateKeyAccount } from "viem";

/** Where enclave keys come from. */
export interface EnclaveService {
  /** Address of the key that the enclave of this task will hold; the same at every call. Errors: SCH-1303. */
  challenge(taskId: TaskId): Promise<Address>;
}

const PROXY_SECRET = "iexec-result-iexec-result-proxy-url";
const MAX_ANSWER = 1_024;

/**
 * The secret management service. Before the first challenge of this process it is told where results go.
 *
 * SIDE EFFECTS: creates a key in the SMS; stores or replaces one secret of the pool's owner there.
 * @source services.md 3.2, 3.3
 */
export function smsEnclaveService(options: {
  readonly url: string;
  readonly account: PrivateKeyAccount;
  readonly resultProxyUrl: string;
  readonly timeoutMs: number;
}): EnclaveService {
  const { url, account, resultProxyUrl, timeoutMs } = options;
  let told: Promise<void> | undefined;

  const sign = (raw: Hex): Promise<Hex> => account.signMessage({ message: { raw } });

  const call = async (
    method: string,
    path: string,
    init: { readonly authorization?: string; readonly body?: string },
  ): Promise<Response> => {
    try {
      return await fetch(`${url}${path}`, {
        method,
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
        headers: { "content-type": "text/plain", ...(init.authorization === undefined ? {} : { authorization: init.authorization }) },
        ...(init.body === undefined ? {} : { body: init.body }),
      });
    } catch (thrown) {
      throw new CodedError("SCH-1303", { url, reason: thrown instanceof Error ? thrown.message : "unknown" }, { cause: thrown });
    }
  };

  const tellProxy = async (): Promise<void> => {
    const path = `/secrets/web2?ownerAddress=${account.address.toLowerCase()}&secretName=${PROXY_SECRET}`;
    const exists = (await call("HEAD", path, {})).ok;
    const authorization = await sign(web2SecretChallenge(account.address, PROXY_SECRET, resultProxyUrl));
    const { ok, status, body } = await call(exists ? "PUT" : "POST", path, { authorization, body: resultProxyUrl });
    await body?.cancel();
    if (!ok) throw new CodedError("SCH-1303", { url, reason: `it answered ${status} to the result proxy's address` });
  };

  return {
    async challenge(taskId) {
      told ??= tellProxy().catch((thrown: unknown) => {
        told = undefined;
        throw thrown;
      });
      await told;
      const response = await call("POST", `/tee/challenges/${taskId}`, { authorization: await sign(keccak256(taskId)) });
      const length = Number(response.headers.get("content-length") ?? "0");
      if (!response.ok || length > MAX_ANSWER) {
        await response.body?.cancel();
        throw new CodedError("SCH-1303", { url, reason: `it answered ${response.status} to the request for a challenge` });
      }
      const parsed = addressSchema.safeParse((await response.text()).slice(0, MAX_ANSWER).trim().replaceAll('"', ""));
      if (!parsed.success) throw new CodedError("SCH-1303", { url, reason: "the challenge is not an address" });
      return parsed.data;
    },
  };
}
