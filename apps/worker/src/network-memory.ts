import type { DatabaseSync } from "node:sqlite";
import { addressSchema, lowerHex } from "@iexec-ts/poco";
import { CodedError } from "@iexec-ts/service";
import type { SchedulerConnection } from "@iexec-ts/wire";
import { z } from "zod";
import { schedulerUrl, type WorkerSettings } from "./config.ts";

/** What a worker must know of its network to get its stake back without its scheduler. */
export interface KnownNetwork {
  readonly workerpool: `0x${string}`;
  readonly chainId: number;
  readonly hub: `0x${string}`;
  readonly nodes: readonly string[];
  readonly resultProxy: string;
}

const schema = z.object({
  workerpool: addressSchema,
  chainId: z.number().int().positive(),
  hub: addressSchema,
  nodes: z.array(z.string()).min(1),
  resultProxy: z.string(),
}) satisfies z.ZodType<KnownNetwork>;

/** The network of the last run, or undefined at the very first start. */
export function recallNetwork(db: DatabaseSync): KnownNetwork | undefined {
  const row = db.prepare("SELECT value FROM memory WHERE name = 'network'").get();
  return row === undefined ? undefined : schema.parse(JSON.parse(String(row.value)));
}

/** SIDE EFFECTS: writes the journal. */
export function rememberNetwork(db: DatabaseSync, network: KnownNetwork): void {
  db.prepare("INSERT INTO memory (name, value) VALUES ('network', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value").run(
    JSON.stringify(network),
  );
}

/** The network a scheduler names, after the operator's own word. Errors: WRK-1004, WRK-1007. */
export function networkNamedBy({ configuration, chain }: SchedulerConnection, settings: WorkerSettings): KnownNetwork {
  const named = lowerHex(configuration.workerPoolAddress);
  const expected = settings.poolAddress;
  if (expected !== undefined && lowerHex(expected) !== named)
    throw new CodedError("WRK-1004", { url: schedulerUrl(settings), named, expected });
  const nodes = settings.nodes ?? (chain === undefined ? [] : [chain.chainNodeUrl]);
  if (chain === undefined || nodes.length === 0) throw new CodedError("WRK-1007");
  return {
    workerpool: named,
    chainId: chain.chainId,
    hub: lowerHex(chain.iexecHubContractAddress),
    nodes,
    resultProxy: configuration.resultRepositoryURL.replace(/\/+$/, ""),
  };
}
