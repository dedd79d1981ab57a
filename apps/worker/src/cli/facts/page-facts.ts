import { addressSchema } from "@iexec-ts/poco";
import { openScope } from "@iexec-ts/service";
import { z } from "zod";
import { doingSchema } from "../../control/doing.ts";
import type { OperatorSettings } from "../settings.ts";

const moment = z.iso.datetime().transform((text) => new Date(text));
const whole = z.string().regex(/^\d+$/).transform(BigInt);

const pageSchema = z.object({
  name: z.string(),
  version: z.string(),
  wallet: addressSchema,
  startedAt: moment,
  link: z.enum(["up", "degraded", "down"]),
  linkSince: moment,
  halted: z.string().nullable(),
  doing: doingSchema.optional(),
  slots: z.number(),
  slotsInUse: z.number(),
  block: whole,
  nodes: z.array(
    z.object({
      url: z.string(),
      health: z.string(),
      height: whole.nullable(),
      latencyMs: z.number().nullable(),
      lastError: z.string().nullable(),
      since: moment,
    }),
  ),
});

/** Reads what `/v1/status` of a worker says. */
export const parsePage = (answer: unknown): PageFacts => pageSchema.parse(answer);

/** What a running worker's own page says. */
export type PageFacts = z.output<typeof pageSchema>;

const TIMEOUT_MS = 2_000;
const MAX_CHARACTERS = 256 * 1_024;
const EVERYWHERE: Readonly<Record<string, string>> = { "0.0.0.0": "127.0.0.1", "::": "[::1]" };

/** The address of the worker's page; undefined when the system chose its port. */
export function pageUrl({ host, port }: Pick<OperatorSettings, "host" | "port">): string | undefined {
  return port === 0 ? undefined : `http://${EVERYWHERE[host] ?? host}:${port}`;
}

/** Undefined when nobody answers there, or somebody else does. */
export async function readPage(settings: OperatorSettings, signal: AbortSignal): Promise<PageFacts | undefined> {
  const url = pageUrl(settings);
  if (url === undefined) return undefined;
  using limit = openScope([signal], { ms: TIMEOUT_MS });
  try {
    const answer = await fetch(`${url}/v1/status`, { signal: limit.signal });
    const text = await answer.text();
    return answer.ok && text.length <= MAX_CHARACTERS ? pageSchema.safeParse(JSON.parse(text)).data : undefined;
  } catch {
    // Whatever the reason, there is no page of ours; the lock says whether the worker runs.
    signal.throwIfAborted();
    return undefined;
  }
}
