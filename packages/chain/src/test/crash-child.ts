import { DatabaseSync } from "node:sqlite";
import { wei } from "@iexec-ts/poco";
import { systemClock } from "@iexec-ts/service";
import { z } from "zod";
import { createRpcPool } from "../rpc/rpc-pool.ts";
import { sqliteOutbox } from "../transactions/sqlite-outbox.ts";
import { createTxQueue } from "../transactions/tx-queue.ts";
import { GWEI, intentOf, walletOf } from "./chain-rig.ts";

// A process that dies at the checkpoint it is told, as hard as a power cut.
const { url, file, seed, dieAt } = z
  .object({ url: z.string(), file: z.string(), seed: z.string(), dieAt: z.string() })
  .parse(JSON.parse(process.argv[2] ?? "{}"));

const db = new DatabaseSync(file);
db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
const pool = await createRpcPool({ urls: [url] }, { clock: systemClock });
const queue = await createTxQueue(
  { pool, account: walletOf(seed), store: sqliteOutbox(db), gas: { multiplier: 1.3, cap: 100n * GWEI }, finalDepth: 4 },
  {
    clock: systemClock,
    checkpoint: (name) => {
      if (name === dieAt) process.kill(process.pid, "SIGKILL");
    },
  },
);
await Promise.all(["a", "b", "c"].map((id) => queue.submit(intentOf(id, { value: wei(1n) }))));
await queue.close();
await pool.close();
