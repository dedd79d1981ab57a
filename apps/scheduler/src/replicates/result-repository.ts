import { parseIpfsLocation, type TaskId } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";

/** Where workers put results. */
export interface ResultRepository {
  /** The CID stored for a task, or undefined. Errors: SCH-1302. */
  find(taskId: TaskId): Promise<string | undefined>;
}

const MAX_ANSWER = 256;

async function firstBytes(response: Response): Promise<string> {
  let text = "";
  if (response.body === null) return text;
  const decoder = new TextDecoder();
  for await (const chunk of response.body) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > MAX_ANSWER) throw new RangeError("the answer is too long");
  }
  return text;
}

/** The result proxy's public lookup. @source wire.md 1.6: GET /v1/results/{id}/ipfshash */
export function resultProxyRepository(url: string, options: { readonly timeoutMs: number }): ResultRepository {
  return {
    async find(taskId) {
      try {
        const response = await fetch(`${url}/v1/results/${taskId}/ipfshash`, {
          signal: AbortSignal.timeout(options.timeoutMs),
          redirect: "error",
        });
        if (response.status === 404) {
          await response.body?.cancel();
          return undefined;
        }
        if (!response.ok) {
          await response.body?.cancel();
          throw new RangeError(`status ${response.status}`);
        }
        const text = (await firstBytes(response)).trim();
        return parseIpfsLocation(text.startsWith("/ipfs/") ? text : `/ipfs/${text}`);
      } catch (thrown) {
        throw new CodedError("SCH-1302", { url, reason: thrown instanceof Error ? thrown.message : "unknown" }, { cause: thrown });
      }
    },
  };
}
