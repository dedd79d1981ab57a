import type { DatabaseSync } from "node:sqlite";
import { addressSchema } from "@iexec-ts/poco";
import { z } from "zod";

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
